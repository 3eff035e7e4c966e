//! `copa completion`.

const EXAMPLES: &str = "\
Examples:
  source <(copa completion bash)
  copa completion zsh > \"${fpath[1]}/_copa\"
  copa completion fish > ~/.config/fish/completions/copa.fish";

/// Print a shell completion script
#[derive(Debug, Clone, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct CompletionArgs {
    /// Which shell
    pub shell: clap_complete::Shell,
}
