#compdef copa

autoload -U is-at-least

_copa() {
    typeset -A opt_args
    typeset -a _arguments_options
    local ret=1

    if is-at-least 5.2; then
        _arguments_options=(-s -S -C)
    else
        _arguments_options=(-s -C)
    fi

    local context curcontext="$curcontext" state line
    _arguments "${_arguments_options[@]}" : \
'--cache-dir=[Where layers and packages are kept \[default\: \$XDG_CACHE_HOME/copa\]]:DIR:_files' \
'--debug[Tell what happens inside; keep temporary files; plain progress]' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
'-V[Print version]' \
'--version[Print version]' \
":: :_copa_commands" \
"*::: :->copa" \
&& ret=0
    case $state in
    (copa)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:copa-command-$line[1]:"
        case $line[1] in
            (patch)
_arguments "${_arguments_options[@]}" : \
'-i+[Image to patch\: a reference, as docker takes it, or an address]:IMAGE:_default' \
'--image=[Image to patch\: a reference, as docker takes it, or an address]:IMAGE:_default' \
'-r+[Vulnerability report (JSON file), or a folder with one for each platform; without, everything is updated]:FILE|DIR:_files' \
'--report=[Vulnerability report (JSON file), or a folder with one for each platform; without, everything is updated]:FILE|DIR:_files' \
'*--platform=[Platform to patch, others stay as they are (repeatable) \[default\: all, or those that the reports are for\]]:PLATFORM:_default' \
'-s+[Who made the report\: trivy, native, or NAME of a plugin '\''copa-NAME'\'' on PATH]:NAME:_default' \
'--scanner=[Who made the report\: trivy, native, or NAME of a plugin '\''copa-NAME'\'' on PATH]:NAME:_default' \
'-t+[Tag, or full reference, of the patched image \[default\: the image'\''s tag with the suffix\]]:TAG|REFERENCE:_default' \
'--tag=[Tag, or full reference, of the patched image \[default\: the image'\''s tag with the suffix\]]:TAG|REFERENCE:_default' \
'--tag-suffix=[What the image'\''s own tag gets at its end where no --tag is given]:SUFFIX:_default' \
'--oci-dir=[Write the patched image into this OCI layout folder]:DIR:_files' \
'*--to=[Write the patched image there (repeatable)]:ADDRESS:_default' \
'-l+[Daemon to load the patched image into, where it goes to one \[default\: where it was, else docker, else podman\]]:DAEMON:((docker\:"Docker"
podman\:"Podman"
containerd\:"containerd"))' \
'--loader=[Daemon to load the patched image into, where it goes to one \[default\: where it was, else docker, else podman\]]:DAEMON:((docker\:"Docker"
podman\:"Podman"
containerd\:"containerd"))' \
'--compression=[How the patch layer is compressed, wherever it goes\: gzip, zstd, uncompressed]:COMPRESSION:_default' \
'--compression-level=[How hard\: 1 to 9 for gzip, 1 to 19 for zstd \[default\: 4, 3\]]:LEVEL:_default' \
'--referrers=[What becomes of signatures, SBOMs and attestations about the original\: drop, keep, mark]:WHAT:((drop\:"Left behind, with a note"
keep\:"Those in the index stay"
mark\:"Those in the index stay, said to be stale"))' \
'--base=[The original of an image that another tool has patched\: what lies above its layers becomes part of the patch layer]:IMAGE:_default' \
'*--include=[Patch only packages with such names; * and ? stand for any text and any character (repeatable)]:PACKAGE:_default' \
'*--exclude=[Leave packages with such names as they are (repeatable)]:PACKAGE:_default' \
'*--ignore=[Let this vulnerability be (repeatable)]:ID:_default' \
'--ignore-file=[Let vulnerabilities be that are listed in FILE\: an id a line, as in a .trivyignore]:FILE:_files' \
'--min-severity=[Let findings be that are less severe\: low, medium, high, critical]:SEVERITY:_default' \
'--repositories=[Repository configuration for images without a package tool\: a folder with etc/apt, etc/yum.repos.d or etc/apk]:DIR:_files' \
'--tooling-image=[Image whose package tool works on images that have none \[default\: the distribution'\''s own of the same release\]]:IMAGE:_default' \
'--eol-api-url=[Ask this API, as that of endoflife.date, whether the image'\''s release is kept up \[default\: our own table\]]:URL:_default' \
'--timeout=[Longest time for the whole operation (Go duration\: 90s, 10m, 1h30m)]:DURATION:_default' \
'-w+[Folder for temporary files \[default\: inside the cache\]]:DIR:_files' \
'--working-folder=[Folder for temporary files \[default\: inside the cache\]]:DIR:_files' \
'--progress=[How progress is shown\: auto, tty, plain, quiet, rawjson]:STYLE:_default' \
'--engine=[What runs the package tool]:ENGINE:((auto\:"The best there is on this host"
embedded\:"In this process\: namespaces and overlayfs, no daemon"))' \
'--jobs=[Platforms worked on side by side, at most \[default\: one for each core\]]:N:_default' \
'*--allow-host=[Host the package tool may reach beside the image'\''s own repositories (repeatable)]:HOST[:PORT]:_default' \
'*--plain-http=[Registry to be reached by plain http (repeatable); loopback registries always may be]:HOST[:PORT]:_default' \
'--ca-cert=[Extra CA certificates (PEM file) for registries and package repositories]:FILE:_files' \
'--registries-conf=[registries.conf to go by\: mirrors, blocked and insecure registries, short names \[default\: the user'\''s, the system'\''s\]]:FILE:_files' \
'--cert-dir=[Folder with certificates by registry\: DIR/HOST\[\:PORT\]/{*.crt, client.cert, client.key}]:DIR:_files' \
'--result=[Write what became of everything as JSON to FILE (- is standard output)]:FILE:_files' \
'-o+[Write a VEX document of what became of the findings to FILE (needs --report)]:FILE:_files' \
'--output=[Write a VEX document of what became of the findings to FILE (needs --report)]:FILE:_files' \
'-f+[Format of the VEX document]:FORMAT:((openvex\:"OpenVEX 0.2 JSON"))' \
'--format=[Format of the VEX document]:FORMAT:((openvex\:"OpenVEX 0.2 JSON"))' \
'--cache-dir=[Where layers and packages are kept \[default\: \$XDG_CACHE_HOME/copa\]]:DIR:_files' \
'--allow-mismatch[Patch although the report was made for another image]' \
'--ignore-errors[Go on with the other packages when one cannot be patched]' \
'-p[Push the patched image to its registry]' \
'--push[Push the patched image to its registry]' \
'--overwrite[Let the patched image take the place of the original under its name]' \
'--dry-run[Only show what would be done, as '\''copa plan'\'' does]' \
'--force-compression[Compress the original'\''s layers anew too, where they are compressed otherwise]' \
'--security-only[Take only what the repositories mark as security updates (apt, dnf, zypper)]' \
'--allow-removals[Let fixes take packages away]' \
'--skip-scripts[Unpack packages although scripts of theirs would have to run (images without a package tool)]' \
'--allow-archived[Take packages of releases at their end from the archives, which nobody keeps up]' \
'--exit-on-eol[Fail where the image'\''s release is no longer kept up]' \
'--detailed-exit-code[Tell by exit code\: 0 all patched, 20 nothing to do, 21 patched but findings remain]' \
'--debug[Tell what happens inside; keep temporary files; plain progress]' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
&& ret=0
;;
(plan)
_arguments "${_arguments_options[@]}" : \
'-i+[Image to patch\: a reference, as docker takes it, or an address]:IMAGE:_default' \
'--image=[Image to patch\: a reference, as docker takes it, or an address]:IMAGE:_default' \
'-r+[Vulnerability report (JSON file), or a folder with one for each platform; without, everything is updated]:FILE|DIR:_files' \
'--report=[Vulnerability report (JSON file), or a folder with one for each platform; without, everything is updated]:FILE|DIR:_files' \
'*--platform=[Platform to patch, others stay as they are (repeatable) \[default\: all, or those that the reports are for\]]:PLATFORM:_default' \
'-s+[Who made the report\: trivy, native, or NAME of a plugin '\''copa-NAME'\'' on PATH]:NAME:_default' \
'--scanner=[Who made the report\: trivy, native, or NAME of a plugin '\''copa-NAME'\'' on PATH]:NAME:_default' \
'*--include=[Patch only packages with such names; * and ? stand for any text and any character (repeatable)]:PACKAGE:_default' \
'*--exclude=[Leave packages with such names as they are (repeatable)]:PACKAGE:_default' \
'*--ignore=[Let this vulnerability be (repeatable)]:ID:_default' \
'--ignore-file=[Let vulnerabilities be that are listed in FILE\: an id a line, as in a .trivyignore]:FILE:_files' \
'--min-severity=[Let findings be that are less severe\: low, medium, high, critical]:SEVERITY:_default' \
'--repositories=[Repository configuration for images without a package tool\: a folder with etc/apt, etc/yum.repos.d or etc/apk]:DIR:_files' \
'--tooling-image=[Image whose package tool works on images that have none \[default\: the distribution'\''s own of the same release\]]:IMAGE:_default' \
'--eol-api-url=[Ask this API, as that of endoflife.date, whether the image'\''s release is kept up \[default\: our own table\]]:URL:_default' \
'--timeout=[Longest time for the whole operation (Go duration\: 90s, 10m, 1h30m)]:DURATION:_default' \
'-w+[Folder for temporary files \[default\: inside the cache\]]:DIR:_files' \
'--working-folder=[Folder for temporary files \[default\: inside the cache\]]:DIR:_files' \
'--progress=[How progress is shown\: auto, tty, plain, quiet, rawjson]:STYLE:_default' \
'--engine=[What runs the package tool]:ENGINE:((auto\:"The best there is on this host"
embedded\:"In this process\: namespaces and overlayfs, no daemon"))' \
'--jobs=[Platforms worked on side by side, at most \[default\: one for each core\]]:N:_default' \
'*--allow-host=[Host the package tool may reach beside the image'\''s own repositories (repeatable)]:HOST[:PORT]:_default' \
'*--plain-http=[Registry to be reached by plain http (repeatable); loopback registries always may be]:HOST[:PORT]:_default' \
'--ca-cert=[Extra CA certificates (PEM file) for registries and package repositories]:FILE:_files' \
'--registries-conf=[registries.conf to go by\: mirrors, blocked and insecure registries, short names \[default\: the user'\''s, the system'\''s\]]:FILE:_files' \
'--cert-dir=[Folder with certificates by registry\: DIR/HOST\[\:PORT\]/{*.crt, client.cert, client.key}]:DIR:_files' \
'--result=[Write what became of everything as JSON to FILE (- is standard output)]:FILE:_files' \
'--cache-dir=[Where layers and packages are kept \[default\: \$XDG_CACHE_HOME/copa\]]:DIR:_files' \
'--allow-mismatch[Patch although the report was made for another image]' \
'--ignore-errors[Go on with the other packages when one cannot be patched]' \
'--security-only[Take only what the repositories mark as security updates (apt, dnf, zypper)]' \
'--allow-removals[Let fixes take packages away]' \
'--skip-scripts[Unpack packages although scripts of theirs would have to run (images without a package tool)]' \
'--allow-archived[Take packages of releases at their end from the archives, which nobody keeps up]' \
'--exit-on-eol[Fail where the image'\''s release is no longer kept up]' \
'--detailed-exit-code[Tell by exit code\: 0 all patched, 20 nothing to do, 21 patched but findings remain]' \
'--debug[Tell what happens inside; keep temporary files; plain progress]' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
&& ret=0
;;
(generate)
_arguments "${_arguments_options[@]}" : \
'-i+[Image to patch\: a reference, as docker takes it, or an address]:IMAGE:_default' \
'--image=[Image to patch\: a reference, as docker takes it, or an address]:IMAGE:_default' \
'-r+[Vulnerability report (JSON file), or a folder with one for each platform; without, everything is updated]:FILE|DIR:_files' \
'--report=[Vulnerability report (JSON file), or a folder with one for each platform; without, everything is updated]:FILE|DIR:_files' \
'*--platform=[Platform to patch, others stay as they are (repeatable) \[default\: all, or those that the reports are for\]]:PLATFORM:_default' \
'-s+[Who made the report\: trivy, native, or NAME of a plugin '\''copa-NAME'\'' on PATH]:NAME:_default' \
'--scanner=[Who made the report\: trivy, native, or NAME of a plugin '\''copa-NAME'\'' on PATH]:NAME:_default' \
'--output-context=[Write the build context to FILE \[default\: standard output\]]:FILE:_files' \
'*--include=[Patch only packages with such names; * and ? stand for any text and any character (repeatable)]:PACKAGE:_default' \
'*--exclude=[Leave packages with such names as they are (repeatable)]:PACKAGE:_default' \
'*--ignore=[Let this vulnerability be (repeatable)]:ID:_default' \
'--ignore-file=[Let vulnerabilities be that are listed in FILE\: an id a line, as in a .trivyignore]:FILE:_files' \
'--min-severity=[Let findings be that are less severe\: low, medium, high, critical]:SEVERITY:_default' \
'--repositories=[Repository configuration for images without a package tool\: a folder with etc/apt, etc/yum.repos.d or etc/apk]:DIR:_files' \
'--tooling-image=[Image whose package tool works on images that have none \[default\: the distribution'\''s own of the same release\]]:IMAGE:_default' \
'--eol-api-url=[Ask this API, as that of endoflife.date, whether the image'\''s release is kept up \[default\: our own table\]]:URL:_default' \
'--timeout=[Longest time for the whole operation (Go duration\: 90s, 10m, 1h30m)]:DURATION:_default' \
'-w+[Folder for temporary files \[default\: inside the cache\]]:DIR:_files' \
'--working-folder=[Folder for temporary files \[default\: inside the cache\]]:DIR:_files' \
'--progress=[How progress is shown\: auto, tty, plain, quiet, rawjson]:STYLE:_default' \
'--engine=[What runs the package tool]:ENGINE:((auto\:"The best there is on this host"
embedded\:"In this process\: namespaces and overlayfs, no daemon"))' \
'--jobs=[Platforms worked on side by side, at most \[default\: one for each core\]]:N:_default' \
'*--allow-host=[Host the package tool may reach beside the image'\''s own repositories (repeatable)]:HOST[:PORT]:_default' \
'*--plain-http=[Registry to be reached by plain http (repeatable); loopback registries always may be]:HOST[:PORT]:_default' \
'--ca-cert=[Extra CA certificates (PEM file) for registries and package repositories]:FILE:_files' \
'--registries-conf=[registries.conf to go by\: mirrors, blocked and insecure registries, short names \[default\: the user'\''s, the system'\''s\]]:FILE:_files' \
'--cert-dir=[Folder with certificates by registry\: DIR/HOST\[\:PORT\]/{*.crt, client.cert, client.key}]:DIR:_files' \
'--result=[Write what became of everything as JSON to FILE (- is standard output)]:FILE:_files' \
'--cache-dir=[Where layers and packages are kept \[default\: \$XDG_CACHE_HOME/copa\]]:DIR:_files' \
'--allow-mismatch[Patch although the report was made for another image]' \
'--ignore-errors[Go on with the other packages when one cannot be patched]' \
'--security-only[Take only what the repositories mark as security updates (apt, dnf, zypper)]' \
'--allow-removals[Let fixes take packages away]' \
'--skip-scripts[Unpack packages although scripts of theirs would have to run (images without a package tool)]' \
'--allow-archived[Take packages of releases at their end from the archives, which nobody keeps up]' \
'--exit-on-eol[Fail where the image'\''s release is no longer kept up]' \
'--detailed-exit-code[Tell by exit code\: 0 all patched, 20 nothing to do, 21 patched but findings remain]' \
'--debug[Tell what happens inside; keep temporary files; plain progress]' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
&& ret=0
;;
(inspect)
_arguments "${_arguments_options[@]}" : \
'*--platform=[Platform to look at (repeatable) \[default\: all\]]:PLATFORM:_default' \
'--base=[The original of an image that another tool has patched, where it is not in the image'\''s own repository]:IMAGE:_default' \
'--timeout=[Longest time for the whole operation (Go duration\: 90s, 10m, 1h30m)]:DURATION:_default' \
'*--plain-http=[Registry to be reached by plain http (repeatable); loopback registries always may be]:HOST[:PORT]:_default' \
'--ca-cert=[Extra CA certificates (PEM file) for registries]:FILE:_files' \
'--registries-conf=[registries.conf to go by\: mirrors, blocked and insecure registries, short names \[default\: the user'\''s, the system'\''s\]]:FILE:_files' \
'--cert-dir=[Folder with certificates by registry\: DIR/HOST\[\:PORT\]/{*.crt, client.cert, client.key}]:DIR:_files' \
'--cache-dir=[Where layers and packages are kept \[default\: \$XDG_CACHE_HOME/copa\]]:DIR:_files' \
'--json[Print JSON]' \
'--packages[Read the package databases below and above the patch, and show what it changed]' \
'--remote[Take the image from its registry, whatever daemons of this machine have]' \
'--debug[Tell what happens inside; keep temporary files; plain progress]' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
':image -- Image to look at\: a registry reference, or oci\:DIR\[\:TAG\], docker-daemon\:NAME, …:_default' \
&& ret=0
;;
(doctor)
_arguments "${_arguments_options[@]}" : \
'--cache-dir=[Where layers and packages are kept \[default\: \$XDG_CACHE_HOME/copa\]]:DIR:_files' \
'--json[Print JSON]' \
'--debug[Tell what happens inside; keep temporary files; plain progress]' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
&& ret=0
;;
(cache)
_arguments "${_arguments_options[@]}" : \
'--cache-dir=[Where layers and packages are kept \[default\: \$XDG_CACHE_HOME/copa\]]:DIR:_files' \
'--debug[Tell what happens inside; keep temporary files; plain progress]' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
":: :_copa__subcmd__cache_commands" \
"*::: :->cache" \
&& ret=0

    case $state in
    (cache)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:copa-cache-command-$line[1]:"
        case $line[1] in
            (ls)
_arguments "${_arguments_options[@]}" : \
'--cache-dir=[Where layers and packages are kept \[default\: \$XDG_CACHE_HOME/copa\]]:DIR:_files' \
'--json[Print JSON]' \
'--debug[Tell what happens inside; keep temporary files; plain progress]' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
&& ret=0
;;
(prune)
_arguments "${_arguments_options[@]}" : \
'--older-than=[What was not used for that long (12h, 7d, 4w)]:DURATION:_default' \
'--max-size=[Least recently used first, until no more than this is left (500MB, 10GB)]:SIZE:_default' \
'--cache-dir=[Where layers and packages are kept \[default\: \$XDG_CACHE_HOME/copa\]]:DIR:_files' \
'(--older-than --max-size)--all[Everything]' \
'--dry-run[Only show what would be removed]' \
'--debug[Tell what happens inside; keep temporary files; plain progress]' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
&& ret=0
;;
(help)
_arguments "${_arguments_options[@]}" : \
":: :_copa__subcmd__cache__subcmd__help_commands" \
"*::: :->help" \
&& ret=0

    case $state in
    (help)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:copa-cache-help-command-$line[1]:"
        case $line[1] in
            (ls)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(prune)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(help)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
        esac
    ;;
esac
;;
        esac
    ;;
esac
;;
(completion)
_arguments "${_arguments_options[@]}" : \
'--cache-dir=[Where layers and packages are kept \[default\: \$XDG_CACHE_HOME/copa\]]:DIR:_files' \
'--debug[Tell what happens inside; keep temporary files; plain progress]' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
':shell -- Which shell:(bash elvish fish powershell zsh)' \
&& ret=0
;;
(generate-docs)
_arguments "${_arguments_options[@]}" : \
'--cache-dir=[Where layers and packages are kept \[default\: \$XDG_CACHE_HOME/copa\]]:DIR:_files' \
'--debug[Tell what happens inside; keep temporary files; plain progress]' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
':dir -- Folder to write to:_files' \
&& ret=0
;;
(help)
_arguments "${_arguments_options[@]}" : \
":: :_copa__subcmd__help_commands" \
"*::: :->help" \
&& ret=0

    case $state in
    (help)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:copa-help-command-$line[1]:"
        case $line[1] in
            (patch)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(plan)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(generate)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(inspect)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(doctor)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(cache)
_arguments "${_arguments_options[@]}" : \
":: :_copa__subcmd__help__subcmd__cache_commands" \
"*::: :->cache" \
&& ret=0

    case $state in
    (cache)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:copa-help-cache-command-$line[1]:"
        case $line[1] in
            (ls)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(prune)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
        esac
    ;;
esac
;;
(completion)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(generate-docs)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(help)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
        esac
    ;;
esac
;;
        esac
    ;;
esac
}

(( $+functions[_copa_commands] )) ||
_copa_commands() {
    local commands; commands=(
'patch:Patch an image\: install the fixed packages as one new layer' \
'plan:Show what patching would do, without doing it' \
'generate:Write the patch as a docker build context instead of an image' \
'inspect:Show whether and how an image was patched\: its original, its patch layers, what they changed' \
'doctor:Show what the embedded engine can do on this host, and how to get what is missing' \
'cache:Look at or clean the cache' \
'completion:Print a shell completion script' \
'generate-docs:Write the reference documentation' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'copa commands' commands "$@"
}
(( $+functions[_copa__subcmd__cache_commands] )) ||
_copa__subcmd__cache_commands() {
    local commands; commands=(
'ls:List what the cache holds' \
'prune:Remove what is not in use' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'copa cache commands' commands "$@"
}
(( $+functions[_copa__subcmd__cache__subcmd__help_commands] )) ||
_copa__subcmd__cache__subcmd__help_commands() {
    local commands; commands=(
'ls:List what the cache holds' \
'prune:Remove what is not in use' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'copa cache help commands' commands "$@"
}
(( $+functions[_copa__subcmd__cache__subcmd__help__subcmd__help_commands] )) ||
_copa__subcmd__cache__subcmd__help__subcmd__help_commands() {
    local commands; commands=()
    _describe -t commands 'copa cache help help commands' commands "$@"
}
(( $+functions[_copa__subcmd__cache__subcmd__help__subcmd__ls_commands] )) ||
_copa__subcmd__cache__subcmd__help__subcmd__ls_commands() {
    local commands; commands=()
    _describe -t commands 'copa cache help ls commands' commands "$@"
}
(( $+functions[_copa__subcmd__cache__subcmd__help__subcmd__prune_commands] )) ||
_copa__subcmd__cache__subcmd__help__subcmd__prune_commands() {
    local commands; commands=()
    _describe -t commands 'copa cache help prune commands' commands "$@"
}
(( $+functions[_copa__subcmd__cache__subcmd__ls_commands] )) ||
_copa__subcmd__cache__subcmd__ls_commands() {
    local commands; commands=()
    _describe -t commands 'copa cache ls commands' commands "$@"
}
(( $+functions[_copa__subcmd__cache__subcmd__prune_commands] )) ||
_copa__subcmd__cache__subcmd__prune_commands() {
    local commands; commands=()
    _describe -t commands 'copa cache prune commands' commands "$@"
}
(( $+functions[_copa__subcmd__completion_commands] )) ||
_copa__subcmd__completion_commands() {
    local commands; commands=()
    _describe -t commands 'copa completion commands' commands "$@"
}
(( $+functions[_copa__subcmd__doctor_commands] )) ||
_copa__subcmd__doctor_commands() {
    local commands; commands=()
    _describe -t commands 'copa doctor commands' commands "$@"
}
(( $+functions[_copa__subcmd__generate_commands] )) ||
_copa__subcmd__generate_commands() {
    local commands; commands=()
    _describe -t commands 'copa generate commands' commands "$@"
}
(( $+functions[_copa__subcmd__generate-docs_commands] )) ||
_copa__subcmd__generate-docs_commands() {
    local commands; commands=()
    _describe -t commands 'copa generate-docs commands' commands "$@"
}
(( $+functions[_copa__subcmd__help_commands] )) ||
_copa__subcmd__help_commands() {
    local commands; commands=(
'patch:Patch an image\: install the fixed packages as one new layer' \
'plan:Show what patching would do, without doing it' \
'generate:Write the patch as a docker build context instead of an image' \
'inspect:Show whether and how an image was patched\: its original, its patch layers, what they changed' \
'doctor:Show what the embedded engine can do on this host, and how to get what is missing' \
'cache:Look at or clean the cache' \
'completion:Print a shell completion script' \
'generate-docs:Write the reference documentation' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'copa help commands' commands "$@"
}
(( $+functions[_copa__subcmd__help__subcmd__cache_commands] )) ||
_copa__subcmd__help__subcmd__cache_commands() {
    local commands; commands=(
'ls:List what the cache holds' \
'prune:Remove what is not in use' \
    )
    _describe -t commands 'copa help cache commands' commands "$@"
}
(( $+functions[_copa__subcmd__help__subcmd__cache__subcmd__ls_commands] )) ||
_copa__subcmd__help__subcmd__cache__subcmd__ls_commands() {
    local commands; commands=()
    _describe -t commands 'copa help cache ls commands' commands "$@"
}
(( $+functions[_copa__subcmd__help__subcmd__cache__subcmd__prune_commands] )) ||
_copa__subcmd__help__subcmd__cache__subcmd__prune_commands() {
    local commands; commands=()
    _describe -t commands 'copa help cache prune commands' commands "$@"
}
(( $+functions[_copa__subcmd__help__subcmd__completion_commands] )) ||
_copa__subcmd__help__subcmd__completion_commands() {
    local commands; commands=()
    _describe -t commands 'copa help completion commands' commands "$@"
}
(( $+functions[_copa__subcmd__help__subcmd__doctor_commands] )) ||
_copa__subcmd__help__subcmd__doctor_commands() {
    local commands; commands=()
    _describe -t commands 'copa help doctor commands' commands "$@"
}
(( $+functions[_copa__subcmd__help__subcmd__generate_commands] )) ||
_copa__subcmd__help__subcmd__generate_commands() {
    local commands; commands=()
    _describe -t commands 'copa help generate commands' commands "$@"
}
(( $+functions[_copa__subcmd__help__subcmd__generate-docs_commands] )) ||
_copa__subcmd__help__subcmd__generate-docs_commands() {
    local commands; commands=()
    _describe -t commands 'copa help generate-docs commands' commands "$@"
}
(( $+functions[_copa__subcmd__help__subcmd__help_commands] )) ||
_copa__subcmd__help__subcmd__help_commands() {
    local commands; commands=()
    _describe -t commands 'copa help help commands' commands "$@"
}
(( $+functions[_copa__subcmd__help__subcmd__inspect_commands] )) ||
_copa__subcmd__help__subcmd__inspect_commands() {
    local commands; commands=()
    _describe -t commands 'copa help inspect commands' commands "$@"
}
(( $+functions[_copa__subcmd__help__subcmd__patch_commands] )) ||
_copa__subcmd__help__subcmd__patch_commands() {
    local commands; commands=()
    _describe -t commands 'copa help patch commands' commands "$@"
}
(( $+functions[_copa__subcmd__help__subcmd__plan_commands] )) ||
_copa__subcmd__help__subcmd__plan_commands() {
    local commands; commands=()
    _describe -t commands 'copa help plan commands' commands "$@"
}
(( $+functions[_copa__subcmd__inspect_commands] )) ||
_copa__subcmd__inspect_commands() {
    local commands; commands=()
    _describe -t commands 'copa inspect commands' commands "$@"
}
(( $+functions[_copa__subcmd__patch_commands] )) ||
_copa__subcmd__patch_commands() {
    local commands; commands=()
    _describe -t commands 'copa patch commands' commands "$@"
}
(( $+functions[_copa__subcmd__plan_commands] )) ||
_copa__subcmd__plan_commands() {
    local commands; commands=()
    _describe -t commands 'copa plan commands' commands "$@"
}

if [ "$funcstack[1]" = "_copa" ]; then
    _copa "$@"
else
    compdef _copa copa
fi
