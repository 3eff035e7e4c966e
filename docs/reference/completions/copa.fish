# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_copa_global_optspecs
    string join \n debug cache-dir= h/help V/version
end

function __fish_copa_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_copa_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_copa_using_subcommand
    set -l cmd (__fish_copa_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c copa -n "__fish_copa_needs_command" -l cache-dir -d 'Where layers and packages are kept [default: $XDG_CACHE_HOME/copa]' -r -F
complete -c copa -n "__fish_copa_needs_command" -l debug -d 'Tell what happens inside; keep temporary files; plain progress'
complete -c copa -n "__fish_copa_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c copa -n "__fish_copa_needs_command" -s V -l version -d 'Print version'
complete -c copa -n "__fish_copa_needs_command" -f -a "patch" -d 'Patch an image: install the fixed packages as one new layer'
complete -c copa -n "__fish_copa_needs_command" -f -a "plan" -d 'Show what patching would do, without doing it'
complete -c copa -n "__fish_copa_needs_command" -f -a "generate" -d 'Write the patch as a docker build context instead of an image'
complete -c copa -n "__fish_copa_needs_command" -f -a "inspect" -d 'Show whether and how an image was patched: its original, its patch layers, what they changed'
complete -c copa -n "__fish_copa_needs_command" -f -a "doctor" -d 'Show what the embedded engine can do on this host, and how to get what is missing'
complete -c copa -n "__fish_copa_needs_command" -f -a "cache" -d 'Look at or clean the cache'
complete -c copa -n "__fish_copa_needs_command" -f -a "completion" -d 'Print a shell completion script'
complete -c copa -n "__fish_copa_needs_command" -f -a "generate-docs" -d 'Write the reference documentation'
complete -c copa -n "__fish_copa_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c copa -n "__fish_copa_using_subcommand patch" -s i -l image -d 'Image to patch: a reference, as docker takes it, or an address' -r
complete -c copa -n "__fish_copa_using_subcommand patch" -s r -l report -d 'Vulnerability report (JSON file), or a folder with one for each platform; without, everything is updated' -r -F
complete -c copa -n "__fish_copa_using_subcommand patch" -l platform -d 'Platform to patch, others stay as they are (repeatable) [default: all, or those that the reports are for]' -r
complete -c copa -n "__fish_copa_using_subcommand patch" -s s -l scanner -d 'Who made the report: trivy, native, or NAME of a plugin \'copa-NAME\' on PATH' -r
complete -c copa -n "__fish_copa_using_subcommand patch" -s t -l tag -d 'Tag, or full reference, of the patched image [default: the image\'s tag with the suffix]' -r
complete -c copa -n "__fish_copa_using_subcommand patch" -l tag-suffix -d 'What the image\'s own tag gets at its end where no --tag is given' -r
complete -c copa -n "__fish_copa_using_subcommand patch" -l oci-dir -d 'Write the patched image into this OCI layout folder' -r -F
complete -c copa -n "__fish_copa_using_subcommand patch" -l to -d 'Write the patched image there (repeatable)' -r
complete -c copa -n "__fish_copa_using_subcommand patch" -s l -l loader -d 'Daemon to load the patched image into, where it goes to one [default: where it was, else docker, else podman]' -r -f -a "docker\t'Docker'
podman\t'Podman'
containerd\t'containerd'"
complete -c copa -n "__fish_copa_using_subcommand patch" -l compression -d 'How the patch layer is compressed, wherever it goes: gzip, zstd, uncompressed' -r
complete -c copa -n "__fish_copa_using_subcommand patch" -l compression-level -d 'How hard: 1 to 9 for gzip, 1 to 19 for zstd [default: 4, 3]' -r
complete -c copa -n "__fish_copa_using_subcommand patch" -l referrers -d 'What becomes of signatures, SBOMs and attestations about the original: drop, keep, mark' -r -f -a "drop\t'Left behind, with a note'
keep\t'Those in the index stay'
mark\t'Those in the index stay, said to be stale'"
complete -c copa -n "__fish_copa_using_subcommand patch" -l base -d 'The original of an image that another tool has patched: what lies above its layers becomes part of the patch layer' -r
complete -c copa -n "__fish_copa_using_subcommand patch" -l include -d 'Patch only packages with such names; * and ? stand for any text and any character (repeatable)' -r
complete -c copa -n "__fish_copa_using_subcommand patch" -l exclude -d 'Leave packages with such names as they are (repeatable)' -r
complete -c copa -n "__fish_copa_using_subcommand patch" -l ignore -d 'Let this vulnerability be (repeatable)' -r
complete -c copa -n "__fish_copa_using_subcommand patch" -l ignore-file -d 'Let vulnerabilities be that are listed in FILE: an id a line, as in a .trivyignore' -r -F
complete -c copa -n "__fish_copa_using_subcommand patch" -l min-severity -d 'Let findings be that are less severe: low, medium, high, critical' -r
complete -c copa -n "__fish_copa_using_subcommand patch" -l repositories -d 'Repository configuration for images without a package tool: a folder with etc/apt, etc/yum.repos.d or etc/apk' -r -F
complete -c copa -n "__fish_copa_using_subcommand patch" -l tooling-image -d 'Image whose package tool works on images that have none [default: the distribution\'s own of the same release]' -r
complete -c copa -n "__fish_copa_using_subcommand patch" -l eol-api-url -d 'Ask this API, as that of endoflife.date, whether the image\'s release is kept up [default: our own table]' -r
complete -c copa -n "__fish_copa_using_subcommand patch" -l timeout -d 'Longest time for the whole operation (Go duration: 90s, 10m, 1h30m)' -r
complete -c copa -n "__fish_copa_using_subcommand patch" -s w -l working-folder -d 'Folder for temporary files [default: inside the cache]' -r -F
complete -c copa -n "__fish_copa_using_subcommand patch" -l progress -d 'How progress is shown: auto, tty, plain, quiet, rawjson' -r
complete -c copa -n "__fish_copa_using_subcommand patch" -l engine -d 'What runs the package tool' -r -f -a "auto\t'The best there is on this host'
embedded\t'In this process: namespaces and overlayfs, no daemon'"
complete -c copa -n "__fish_copa_using_subcommand patch" -l jobs -d 'Platforms worked on side by side, at most [default: one for each core]' -r
complete -c copa -n "__fish_copa_using_subcommand patch" -l allow-host -d 'Host the package tool may reach beside the image\'s own repositories (repeatable)' -r
complete -c copa -n "__fish_copa_using_subcommand patch" -l plain-http -d 'Registry to be reached by plain http (repeatable); loopback registries always may be' -r
complete -c copa -n "__fish_copa_using_subcommand patch" -l ca-cert -d 'Extra CA certificates (PEM file) for registries and package repositories' -r -F
complete -c copa -n "__fish_copa_using_subcommand patch" -l registries-conf -d 'registries.conf to go by: mirrors, blocked and insecure registries, short names [default: the user\'s, the system\'s]' -r -F
complete -c copa -n "__fish_copa_using_subcommand patch" -l cert-dir -d 'Folder with certificates by registry: DIR/HOST[:PORT]/{*.crt, client.cert, client.key}' -r -F
complete -c copa -n "__fish_copa_using_subcommand patch" -l result -d 'Write what became of everything as JSON to FILE (- is standard output)' -r -F
complete -c copa -n "__fish_copa_using_subcommand patch" -s o -l output -d 'Write a VEX document of what became of the findings to FILE (needs --report)' -r -F
complete -c copa -n "__fish_copa_using_subcommand patch" -s f -l format -d 'Format of the VEX document' -r -f -a "openvex\t'OpenVEX 0.2 JSON'"
complete -c copa -n "__fish_copa_using_subcommand patch" -l cache-dir -d 'Where layers and packages are kept [default: $XDG_CACHE_HOME/copa]' -r -F
complete -c copa -n "__fish_copa_using_subcommand patch" -l allow-mismatch -d 'Patch although the report was made for another image'
complete -c copa -n "__fish_copa_using_subcommand patch" -l ignore-errors -d 'Go on with the other packages when one cannot be patched'
complete -c copa -n "__fish_copa_using_subcommand patch" -s p -l push -d 'Push the patched image to its registry'
complete -c copa -n "__fish_copa_using_subcommand patch" -l overwrite -d 'Let the patched image take the place of the original under its name'
complete -c copa -n "__fish_copa_using_subcommand patch" -l dry-run -d 'Only show what would be done, as \'copa plan\' does'
complete -c copa -n "__fish_copa_using_subcommand patch" -l force-compression -d 'Compress the original\'s layers anew too, where they are compressed otherwise'
complete -c copa -n "__fish_copa_using_subcommand patch" -l security-only -d 'Take only what the repositories mark as security updates (apt, dnf, zypper)'
complete -c copa -n "__fish_copa_using_subcommand patch" -l allow-removals -d 'Let fixes take packages away'
complete -c copa -n "__fish_copa_using_subcommand patch" -l skip-scripts -d 'Unpack packages although scripts of theirs would have to run (images without a package tool)'
complete -c copa -n "__fish_copa_using_subcommand patch" -l allow-archived -d 'Take packages of releases at their end from the archives, which nobody keeps up'
complete -c copa -n "__fish_copa_using_subcommand patch" -l exit-on-eol -d 'Fail where the image\'s release is no longer kept up'
complete -c copa -n "__fish_copa_using_subcommand patch" -l detailed-exit-code -d 'Tell by exit code: 0 all patched, 20 nothing to do, 21 patched but findings remain'
complete -c copa -n "__fish_copa_using_subcommand patch" -l debug -d 'Tell what happens inside; keep temporary files; plain progress'
complete -c copa -n "__fish_copa_using_subcommand patch" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c copa -n "__fish_copa_using_subcommand plan" -s i -l image -d 'Image to patch: a reference, as docker takes it, or an address' -r
complete -c copa -n "__fish_copa_using_subcommand plan" -s r -l report -d 'Vulnerability report (JSON file), or a folder with one for each platform; without, everything is updated' -r -F
complete -c copa -n "__fish_copa_using_subcommand plan" -l platform -d 'Platform to patch, others stay as they are (repeatable) [default: all, or those that the reports are for]' -r
complete -c copa -n "__fish_copa_using_subcommand plan" -s s -l scanner -d 'Who made the report: trivy, native, or NAME of a plugin \'copa-NAME\' on PATH' -r
complete -c copa -n "__fish_copa_using_subcommand plan" -l include -d 'Patch only packages with such names; * and ? stand for any text and any character (repeatable)' -r
complete -c copa -n "__fish_copa_using_subcommand plan" -l exclude -d 'Leave packages with such names as they are (repeatable)' -r
complete -c copa -n "__fish_copa_using_subcommand plan" -l ignore -d 'Let this vulnerability be (repeatable)' -r
complete -c copa -n "__fish_copa_using_subcommand plan" -l ignore-file -d 'Let vulnerabilities be that are listed in FILE: an id a line, as in a .trivyignore' -r -F
complete -c copa -n "__fish_copa_using_subcommand plan" -l min-severity -d 'Let findings be that are less severe: low, medium, high, critical' -r
complete -c copa -n "__fish_copa_using_subcommand plan" -l repositories -d 'Repository configuration for images without a package tool: a folder with etc/apt, etc/yum.repos.d or etc/apk' -r -F
complete -c copa -n "__fish_copa_using_subcommand plan" -l tooling-image -d 'Image whose package tool works on images that have none [default: the distribution\'s own of the same release]' -r
complete -c copa -n "__fish_copa_using_subcommand plan" -l eol-api-url -d 'Ask this API, as that of endoflife.date, whether the image\'s release is kept up [default: our own table]' -r
complete -c copa -n "__fish_copa_using_subcommand plan" -l timeout -d 'Longest time for the whole operation (Go duration: 90s, 10m, 1h30m)' -r
complete -c copa -n "__fish_copa_using_subcommand plan" -s w -l working-folder -d 'Folder for temporary files [default: inside the cache]' -r -F
complete -c copa -n "__fish_copa_using_subcommand plan" -l progress -d 'How progress is shown: auto, tty, plain, quiet, rawjson' -r
complete -c copa -n "__fish_copa_using_subcommand plan" -l engine -d 'What runs the package tool' -r -f -a "auto\t'The best there is on this host'
embedded\t'In this process: namespaces and overlayfs, no daemon'"
complete -c copa -n "__fish_copa_using_subcommand plan" -l jobs -d 'Platforms worked on side by side, at most [default: one for each core]' -r
complete -c copa -n "__fish_copa_using_subcommand plan" -l allow-host -d 'Host the package tool may reach beside the image\'s own repositories (repeatable)' -r
complete -c copa -n "__fish_copa_using_subcommand plan" -l plain-http -d 'Registry to be reached by plain http (repeatable); loopback registries always may be' -r
complete -c copa -n "__fish_copa_using_subcommand plan" -l ca-cert -d 'Extra CA certificates (PEM file) for registries and package repositories' -r -F
complete -c copa -n "__fish_copa_using_subcommand plan" -l registries-conf -d 'registries.conf to go by: mirrors, blocked and insecure registries, short names [default: the user\'s, the system\'s]' -r -F
complete -c copa -n "__fish_copa_using_subcommand plan" -l cert-dir -d 'Folder with certificates by registry: DIR/HOST[:PORT]/{*.crt, client.cert, client.key}' -r -F
complete -c copa -n "__fish_copa_using_subcommand plan" -l result -d 'Write what became of everything as JSON to FILE (- is standard output)' -r -F
complete -c copa -n "__fish_copa_using_subcommand plan" -l cache-dir -d 'Where layers and packages are kept [default: $XDG_CACHE_HOME/copa]' -r -F
complete -c copa -n "__fish_copa_using_subcommand plan" -l allow-mismatch -d 'Patch although the report was made for another image'
complete -c copa -n "__fish_copa_using_subcommand plan" -l ignore-errors -d 'Go on with the other packages when one cannot be patched'
complete -c copa -n "__fish_copa_using_subcommand plan" -l security-only -d 'Take only what the repositories mark as security updates (apt, dnf, zypper)'
complete -c copa -n "__fish_copa_using_subcommand plan" -l allow-removals -d 'Let fixes take packages away'
complete -c copa -n "__fish_copa_using_subcommand plan" -l skip-scripts -d 'Unpack packages although scripts of theirs would have to run (images without a package tool)'
complete -c copa -n "__fish_copa_using_subcommand plan" -l allow-archived -d 'Take packages of releases at their end from the archives, which nobody keeps up'
complete -c copa -n "__fish_copa_using_subcommand plan" -l exit-on-eol -d 'Fail where the image\'s release is no longer kept up'
complete -c copa -n "__fish_copa_using_subcommand plan" -l detailed-exit-code -d 'Tell by exit code: 0 all patched, 20 nothing to do, 21 patched but findings remain'
complete -c copa -n "__fish_copa_using_subcommand plan" -l debug -d 'Tell what happens inside; keep temporary files; plain progress'
complete -c copa -n "__fish_copa_using_subcommand plan" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c copa -n "__fish_copa_using_subcommand generate" -s i -l image -d 'Image to patch: a reference, as docker takes it, or an address' -r
complete -c copa -n "__fish_copa_using_subcommand generate" -s r -l report -d 'Vulnerability report (JSON file), or a folder with one for each platform; without, everything is updated' -r -F
complete -c copa -n "__fish_copa_using_subcommand generate" -l platform -d 'Platform to patch, others stay as they are (repeatable) [default: all, or those that the reports are for]' -r
complete -c copa -n "__fish_copa_using_subcommand generate" -s s -l scanner -d 'Who made the report: trivy, native, or NAME of a plugin \'copa-NAME\' on PATH' -r
complete -c copa -n "__fish_copa_using_subcommand generate" -l output-context -d 'Write the build context to FILE [default: standard output]' -r -F
complete -c copa -n "__fish_copa_using_subcommand generate" -l include -d 'Patch only packages with such names; * and ? stand for any text and any character (repeatable)' -r
complete -c copa -n "__fish_copa_using_subcommand generate" -l exclude -d 'Leave packages with such names as they are (repeatable)' -r
complete -c copa -n "__fish_copa_using_subcommand generate" -l ignore -d 'Let this vulnerability be (repeatable)' -r
complete -c copa -n "__fish_copa_using_subcommand generate" -l ignore-file -d 'Let vulnerabilities be that are listed in FILE: an id a line, as in a .trivyignore' -r -F
complete -c copa -n "__fish_copa_using_subcommand generate" -l min-severity -d 'Let findings be that are less severe: low, medium, high, critical' -r
complete -c copa -n "__fish_copa_using_subcommand generate" -l repositories -d 'Repository configuration for images without a package tool: a folder with etc/apt, etc/yum.repos.d or etc/apk' -r -F
complete -c copa -n "__fish_copa_using_subcommand generate" -l tooling-image -d 'Image whose package tool works on images that have none [default: the distribution\'s own of the same release]' -r
complete -c copa -n "__fish_copa_using_subcommand generate" -l eol-api-url -d 'Ask this API, as that of endoflife.date, whether the image\'s release is kept up [default: our own table]' -r
complete -c copa -n "__fish_copa_using_subcommand generate" -l timeout -d 'Longest time for the whole operation (Go duration: 90s, 10m, 1h30m)' -r
complete -c copa -n "__fish_copa_using_subcommand generate" -s w -l working-folder -d 'Folder for temporary files [default: inside the cache]' -r -F
complete -c copa -n "__fish_copa_using_subcommand generate" -l progress -d 'How progress is shown: auto, tty, plain, quiet, rawjson' -r
complete -c copa -n "__fish_copa_using_subcommand generate" -l engine -d 'What runs the package tool' -r -f -a "auto\t'The best there is on this host'
embedded\t'In this process: namespaces and overlayfs, no daemon'"
complete -c copa -n "__fish_copa_using_subcommand generate" -l jobs -d 'Platforms worked on side by side, at most [default: one for each core]' -r
complete -c copa -n "__fish_copa_using_subcommand generate" -l allow-host -d 'Host the package tool may reach beside the image\'s own repositories (repeatable)' -r
complete -c copa -n "__fish_copa_using_subcommand generate" -l plain-http -d 'Registry to be reached by plain http (repeatable); loopback registries always may be' -r
complete -c copa -n "__fish_copa_using_subcommand generate" -l ca-cert -d 'Extra CA certificates (PEM file) for registries and package repositories' -r -F
complete -c copa -n "__fish_copa_using_subcommand generate" -l registries-conf -d 'registries.conf to go by: mirrors, blocked and insecure registries, short names [default: the user\'s, the system\'s]' -r -F
complete -c copa -n "__fish_copa_using_subcommand generate" -l cert-dir -d 'Folder with certificates by registry: DIR/HOST[:PORT]/{*.crt, client.cert, client.key}' -r -F
complete -c copa -n "__fish_copa_using_subcommand generate" -l result -d 'Write what became of everything as JSON to FILE (- is standard output)' -r -F
complete -c copa -n "__fish_copa_using_subcommand generate" -l cache-dir -d 'Where layers and packages are kept [default: $XDG_CACHE_HOME/copa]' -r -F
complete -c copa -n "__fish_copa_using_subcommand generate" -l allow-mismatch -d 'Patch although the report was made for another image'
complete -c copa -n "__fish_copa_using_subcommand generate" -l ignore-errors -d 'Go on with the other packages when one cannot be patched'
complete -c copa -n "__fish_copa_using_subcommand generate" -l security-only -d 'Take only what the repositories mark as security updates (apt, dnf, zypper)'
complete -c copa -n "__fish_copa_using_subcommand generate" -l allow-removals -d 'Let fixes take packages away'
complete -c copa -n "__fish_copa_using_subcommand generate" -l skip-scripts -d 'Unpack packages although scripts of theirs would have to run (images without a package tool)'
complete -c copa -n "__fish_copa_using_subcommand generate" -l allow-archived -d 'Take packages of releases at their end from the archives, which nobody keeps up'
complete -c copa -n "__fish_copa_using_subcommand generate" -l exit-on-eol -d 'Fail where the image\'s release is no longer kept up'
complete -c copa -n "__fish_copa_using_subcommand generate" -l detailed-exit-code -d 'Tell by exit code: 0 all patched, 20 nothing to do, 21 patched but findings remain'
complete -c copa -n "__fish_copa_using_subcommand generate" -l debug -d 'Tell what happens inside; keep temporary files; plain progress'
complete -c copa -n "__fish_copa_using_subcommand generate" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c copa -n "__fish_copa_using_subcommand inspect" -l platform -d 'Platform to look at (repeatable) [default: all]' -r
complete -c copa -n "__fish_copa_using_subcommand inspect" -l base -d 'The original of an image that another tool has patched, where it is not in the image\'s own repository' -r
complete -c copa -n "__fish_copa_using_subcommand inspect" -l timeout -d 'Longest time for the whole operation (Go duration: 90s, 10m, 1h30m)' -r
complete -c copa -n "__fish_copa_using_subcommand inspect" -l plain-http -d 'Registry to be reached by plain http (repeatable); loopback registries always may be' -r
complete -c copa -n "__fish_copa_using_subcommand inspect" -l ca-cert -d 'Extra CA certificates (PEM file) for registries' -r -F
complete -c copa -n "__fish_copa_using_subcommand inspect" -l registries-conf -d 'registries.conf to go by: mirrors, blocked and insecure registries, short names [default: the user\'s, the system\'s]' -r -F
complete -c copa -n "__fish_copa_using_subcommand inspect" -l cert-dir -d 'Folder with certificates by registry: DIR/HOST[:PORT]/{*.crt, client.cert, client.key}' -r -F
complete -c copa -n "__fish_copa_using_subcommand inspect" -l cache-dir -d 'Where layers and packages are kept [default: $XDG_CACHE_HOME/copa]' -r -F
complete -c copa -n "__fish_copa_using_subcommand inspect" -l json -d 'Print JSON'
complete -c copa -n "__fish_copa_using_subcommand inspect" -l packages -d 'Read the package databases below and above the patch, and show what it changed'
complete -c copa -n "__fish_copa_using_subcommand inspect" -l remote -d 'Take the image from its registry, whatever daemons of this machine have'
complete -c copa -n "__fish_copa_using_subcommand inspect" -l debug -d 'Tell what happens inside; keep temporary files; plain progress'
complete -c copa -n "__fish_copa_using_subcommand inspect" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c copa -n "__fish_copa_using_subcommand doctor" -l cache-dir -d 'Where layers and packages are kept [default: $XDG_CACHE_HOME/copa]' -r -F
complete -c copa -n "__fish_copa_using_subcommand doctor" -l json -d 'Print JSON'
complete -c copa -n "__fish_copa_using_subcommand doctor" -l debug -d 'Tell what happens inside; keep temporary files; plain progress'
complete -c copa -n "__fish_copa_using_subcommand doctor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c copa -n "__fish_copa_using_subcommand cache; and not __fish_seen_subcommand_from ls prune help" -l cache-dir -d 'Where layers and packages are kept [default: $XDG_CACHE_HOME/copa]' -r -F
complete -c copa -n "__fish_copa_using_subcommand cache; and not __fish_seen_subcommand_from ls prune help" -l debug -d 'Tell what happens inside; keep temporary files; plain progress'
complete -c copa -n "__fish_copa_using_subcommand cache; and not __fish_seen_subcommand_from ls prune help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c copa -n "__fish_copa_using_subcommand cache; and not __fish_seen_subcommand_from ls prune help" -f -a "ls" -d 'List what the cache holds'
complete -c copa -n "__fish_copa_using_subcommand cache; and not __fish_seen_subcommand_from ls prune help" -f -a "prune" -d 'Remove what is not in use'
complete -c copa -n "__fish_copa_using_subcommand cache; and not __fish_seen_subcommand_from ls prune help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c copa -n "__fish_copa_using_subcommand cache; and __fish_seen_subcommand_from ls" -l cache-dir -d 'Where layers and packages are kept [default: $XDG_CACHE_HOME/copa]' -r -F
complete -c copa -n "__fish_copa_using_subcommand cache; and __fish_seen_subcommand_from ls" -l json -d 'Print JSON'
complete -c copa -n "__fish_copa_using_subcommand cache; and __fish_seen_subcommand_from ls" -l debug -d 'Tell what happens inside; keep temporary files; plain progress'
complete -c copa -n "__fish_copa_using_subcommand cache; and __fish_seen_subcommand_from ls" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c copa -n "__fish_copa_using_subcommand cache; and __fish_seen_subcommand_from prune" -l older-than -d 'What was not used for that long (12h, 7d, 4w)' -r
complete -c copa -n "__fish_copa_using_subcommand cache; and __fish_seen_subcommand_from prune" -l max-size -d 'Least recently used first, until no more than this is left (500MB, 10GB)' -r
complete -c copa -n "__fish_copa_using_subcommand cache; and __fish_seen_subcommand_from prune" -l cache-dir -d 'Where layers and packages are kept [default: $XDG_CACHE_HOME/copa]' -r -F
complete -c copa -n "__fish_copa_using_subcommand cache; and __fish_seen_subcommand_from prune" -l all -d 'Everything'
complete -c copa -n "__fish_copa_using_subcommand cache; and __fish_seen_subcommand_from prune" -l dry-run -d 'Only show what would be removed'
complete -c copa -n "__fish_copa_using_subcommand cache; and __fish_seen_subcommand_from prune" -l debug -d 'Tell what happens inside; keep temporary files; plain progress'
complete -c copa -n "__fish_copa_using_subcommand cache; and __fish_seen_subcommand_from prune" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c copa -n "__fish_copa_using_subcommand cache; and __fish_seen_subcommand_from help" -f -a "ls" -d 'List what the cache holds'
complete -c copa -n "__fish_copa_using_subcommand cache; and __fish_seen_subcommand_from help" -f -a "prune" -d 'Remove what is not in use'
complete -c copa -n "__fish_copa_using_subcommand cache; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c copa -n "__fish_copa_using_subcommand completion" -l cache-dir -d 'Where layers and packages are kept [default: $XDG_CACHE_HOME/copa]' -r -F
complete -c copa -n "__fish_copa_using_subcommand completion" -l debug -d 'Tell what happens inside; keep temporary files; plain progress'
complete -c copa -n "__fish_copa_using_subcommand completion" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c copa -n "__fish_copa_using_subcommand generate-docs" -l cache-dir -d 'Where layers and packages are kept [default: $XDG_CACHE_HOME/copa]' -r -F
complete -c copa -n "__fish_copa_using_subcommand generate-docs" -l debug -d 'Tell what happens inside; keep temporary files; plain progress'
complete -c copa -n "__fish_copa_using_subcommand generate-docs" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c copa -n "__fish_copa_using_subcommand help; and not __fish_seen_subcommand_from patch plan generate inspect doctor cache completion generate-docs help" -f -a "patch" -d 'Patch an image: install the fixed packages as one new layer'
complete -c copa -n "__fish_copa_using_subcommand help; and not __fish_seen_subcommand_from patch plan generate inspect doctor cache completion generate-docs help" -f -a "plan" -d 'Show what patching would do, without doing it'
complete -c copa -n "__fish_copa_using_subcommand help; and not __fish_seen_subcommand_from patch plan generate inspect doctor cache completion generate-docs help" -f -a "generate" -d 'Write the patch as a docker build context instead of an image'
complete -c copa -n "__fish_copa_using_subcommand help; and not __fish_seen_subcommand_from patch plan generate inspect doctor cache completion generate-docs help" -f -a "inspect" -d 'Show whether and how an image was patched: its original, its patch layers, what they changed'
complete -c copa -n "__fish_copa_using_subcommand help; and not __fish_seen_subcommand_from patch plan generate inspect doctor cache completion generate-docs help" -f -a "doctor" -d 'Show what the embedded engine can do on this host, and how to get what is missing'
complete -c copa -n "__fish_copa_using_subcommand help; and not __fish_seen_subcommand_from patch plan generate inspect doctor cache completion generate-docs help" -f -a "cache" -d 'Look at or clean the cache'
complete -c copa -n "__fish_copa_using_subcommand help; and not __fish_seen_subcommand_from patch plan generate inspect doctor cache completion generate-docs help" -f -a "completion" -d 'Print a shell completion script'
complete -c copa -n "__fish_copa_using_subcommand help; and not __fish_seen_subcommand_from patch plan generate inspect doctor cache completion generate-docs help" -f -a "generate-docs" -d 'Write the reference documentation'
complete -c copa -n "__fish_copa_using_subcommand help; and not __fish_seen_subcommand_from patch plan generate inspect doctor cache completion generate-docs help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c copa -n "__fish_copa_using_subcommand help; and __fish_seen_subcommand_from cache" -f -a "ls" -d 'List what the cache holds'
complete -c copa -n "__fish_copa_using_subcommand help; and __fish_seen_subcommand_from cache" -f -a "prune" -d 'Remove what is not in use'
