//! Flags on releases that are no longer kept up.

/// What to do about a release that its distribution no longer keeps up.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "End of life")]
pub struct LifecycleArgs {
    /// Ask this API, as that of endoflife.date, whether the image's release is kept up [default: our own table]
    ///
    /// URL is that of the products, such as https://endoflife.date/api/v1/products. Where it does not answer, our own table
    /// counts, with a warning.
    #[arg(long, value_name = "URL")]
    pub eol_api_url: Option<String>,

    /// Fail where the image's release is no longer kept up
    #[arg(long)]
    pub exit_on_eol: bool,
}
