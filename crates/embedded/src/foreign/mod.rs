//! Programs of other architectures than this machine's own: whether they run in a sandbox, and what to do where they do not.

mod programs;
mod registered;

use crate::{
    NAME, errors,
    options::EngineOptions,
    supervise::{Ended, Output, Stop},
    trial::{self, Trial},
    wire::Order,
};
use engine::{Context, Error};
use oci::Platform;
use programs::Architecture;
use registered::Registered;
use std::{fs, io, os::unix::fs::PermissionsExt as _, path::Path, sync::Arc, time::Duration};

/// The only platform's system whose programs the kernel runs.
const LINUX: &str = "linux";
/// How much slower an emulator may be than the processor, from which recipes have their times: QEMU translates, which costs about so much.
const SLOWER: u32 = 10;
/// Longest time that the trial program may take; it takes milliseconds.
const TRIAL_MAX: Duration = Duration::from_secs(20);
/// Name of the trial program in its image.
const PROGRAM: &str = "trial";

/// What must be known of the platform of an image whose programs are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Programs {
    /// They are of 32-bit x86, and this machine's processor runs those.
    pub x86_32: bool,
    /// They are run by an emulator, if at all.
    pub emulated: bool,
}

impl Programs {
    /// Those of a platform.
    pub(crate) fn of(platform: &Platform) -> Programs {
        Programs::on(&Platform::host(), platform)
    }

    fn on(host: &Platform, platform: &Platform) -> Programs {
        let x86_32 = host.architecture == "amd64" && platform.architecture == "386";
        Programs { x86_32, emulated: host.architecture != platform.architecture && !x86_32 }
    }

    /// Both these and others are run.
    pub(crate) fn and(self, other: Programs) -> Programs {
        Programs { x86_32: self.x86_32 || other.x86_32, emulated: self.emulated || other.emulated }
    }

    /// The time for what takes so long where nothing is emulated.
    pub(crate) fn time(self, own: Duration) -> Duration {
        if self.emulated { own.saturating_mul(SLOWER) } else { own }
    }
}

/// Whether programs of a platform run in a sandbox: tried with the smallest there is.
pub(crate) async fn can_run(
    options: &Arc<EngineOptions>,
    platform: &Platform,
    context: &Context,
) -> Result<(), Error> {
    let programs = Programs::of(platform);
    if platform.os == LINUX && programs == Programs::default() {
        return Ok(());
    }
    if platform.os != LINUX {
        return Err(refused(format!("programs of {} do not run on Linux", shown(platform)), String::new()));
    }
    let Some(architecture) = Architecture::of(platform) else {
        let what = format!("{} is no platform whose programs it knows how to try", shown(platform));
        return Err(refused(what, String::new()));
    };
    let stop = Stop::new().map_err(|e| errors::io("trying a program", e))?;
    let _stops = stop.on_drop();
    let (options, pulled) = (options.clone(), stop.clone());
    let mut trial = tokio::task::spawn_blocking(move || tried(&options, (architecture, programs), &pulled));
    let ended = tokio::select! {
        ended = &mut trial => ended,
        () = context.cancel.cancelled() => {
            stop.pull();
            trial.await
        }
    };
    let (exit, said) = ended.map_err(|e| errors::io("trying a program", io::Error::other(e)))??;
    match exit {
        programs::EXIT => Ok(()),
        _ => Err(explained(platform, architecture, exit, &said)),
    }
}

/// Runs the program of an architecture in a sandbox on an image that has nothing else; exit code and output.
fn tried(
    options: &EngineOptions,
    (architecture, programs): (Architecture, Programs),
    stop: &Stop,
) -> Result<(i32, String), Error> {
    let work = options.store.temp_dir().map_err(errors::of_store)?;
    let layer = work.path().join("layer");
    put(&layer, &architecture.program())
        .map_err(|e| errors::io(format!("writing {}", layer.display()), e))?;
    let flavor = options.store.flavor();
    let changes = work.path().join("changes");
    let x86_32 = programs.x86_32;
    let trial = Trial { helper: &options.helper, flavor, layer, work: changes, network: false, x86_32 };
    let mut standing = trial::start(&trial, stop).map_err(|ended| match ended {
        Ended::Stopped => Error::Cancelled,
        other => errors::of_setup(other.into_failure("starting a sandbox")),
    })?;
    let argv = vec![format!("/{PROGRAM}")];
    let order = Order::Exec { argv, env: Default::default(), network: false };
    let mut output = Output::new(&|_| ());
    match standing.sandbox.exec(&order, TRIAL_MAX, stop, &mut output) {
        Ok(exit) => Ok((exit, output.end())),
        Err(Ended::Stopped) => Err(Error::Cancelled),
        Err(ended) => Err(errors::of_work(ended.into_failure("trying a program"))),
    }
}

fn put(layer: &Path, program: &[u8]) -> io::Result<()> {
    fs::create_dir(layer)?;
    fs::set_permissions(layer, fs::Permissions::from_mode(0o755))?;
    let path = layer.join(PROGRAM);
    fs::write(&path, program)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
}

/// Why the program did not run, and what to do.
fn explained(platform: &Platform, architecture: Architecture, exit: i32, said: &str) -> Error {
    let (platform, name) = (shown(platform), architecture.name);
    let install = format!(
        "install an emulator: `sudo apt-get install qemu-user-static binfmt-support`, or \
         `docker run --privileged --rm tonistiigi/binfmt --install {name}`"
    );
    let not_enabled = format!("emulation is not enabled for platform {platform}");
    let ended = match said.trim() {
        "" => format!("exit code {exit}"),
        said => said.to_owned(),
    };
    match registered::of(&architecture.program()) {
        Registered::Unseen => refused(format!("{not_enabled}: its programs do not start"), install),
        Registered::No => {
            refused(format!("{not_enabled}: no entry of binfmt_misc takes its programs"), install)
        }
        Registered::Yes(entry) if !entry.enabled => {
            let remedy = format!(
                "`echo 1 | sudo tee /proc/sys/fs/binfmt_misc/status /proc/sys/fs/binfmt_misc/{}`",
                entry.name
            );
            refused(format!("{not_enabled}: the entry {} of binfmt_misc is switched off", entry.name), remedy)
        }
        Registered::Yes(entry) if !entry.fixed => {
            let what = format!(
                "{not_enabled} within images: the entry {} of binfmt_misc has no flag F, so its emulator {} would have to be \
                 in the image",
                entry.name, entry.interpreter
            );
            refused(what, install)
        }
        Registered::Yes(entry) => {
            let what =
                format!("the emulator {} of platform {platform} does not work: {ended}", entry.interpreter);
            refused(what, install)
        }
    }
}

fn refused(what: String, remedy: String) -> Error {
    Error::Unavailable { engine: NAME, what, remedy }
}

/// A platform is the image's own word.
fn shown(platform: &Platform) -> String {
    platform.to_string().escape_default().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_of_a_platform() {
        let of = |host: &str, own: &str| {
            let platform = |name: &str| Platform::new("linux", name, None);
            let programs = Programs::on(&platform(host), &platform(own));
            (programs.x86_32, programs.emulated)
        };
        assert_eq!(of("amd64", "amd64"), (false, false));
        assert_eq!(of("amd64", "386"), (true, false));
        assert_eq!(of("amd64", "arm64"), (false, true));
        assert_eq!(of("arm64", "386"), (false, true));
        assert_eq!(of("arm64", "arm"), (false, true));
        let variant = Platform::new("linux", "amd64", Some("v3"));
        assert_eq!(Programs::on(&Platform::new("linux", "amd64", None), &variant), Programs::default());
        let slow = Programs { x86_32: false, emulated: true };
        assert_eq!(slow.time(Duration::from_secs(3)), Duration::from_secs(3) * SLOWER);
        assert_eq!(Programs::default().and(slow), slow);
        assert_eq!(slow.time(Duration::MAX), Duration::MAX);
    }
}
