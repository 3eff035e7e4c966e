//! A real podman with a store of its own, as root or as a user. It is no daemon: every command works on the store by itself.

use super::{leftovers, place};
use crate::bundle::{self, PODMAN, RUNTIME};
use crate::command::{Argv, argv};
use crate::{Error, image::Layout, probe};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// What every machine's `skopeo` comes with, and no image is read without.
const POLICY: &str = "/etc/containers/policy.json";

/// A podman with nothing in its store. Containers have no network but `none` and `host`.
#[derive(Debug)]
pub struct Podman {
    /// Ids of the user that it runs as, where that is not root.
    user: Option<User>,
    folder: TempDir,
}

/// A user of this machine, by numbers.
#[derive(Debug, Clone)]
struct User {
    uid: String,
    gid: String,
}

impl Podman {
    /// Whether there can be one here that runs as root; a reason to skip where there cannot.
    pub fn probe() -> Result<(), String> {
        super::needs(&PODMAN)?;
        if Path::new(POLICY).exists() { Ok(()) } else { Err(format!("{POLICY} is missing")) }
    }

    /// Whether there can be one here that runs as `user`; a reason to skip where there cannot.
    pub fn probe_rootless(user: &str) -> Result<(), String> {
        probe::first_reason([Podman::probe(), probe::subordinate_ids(user)])?;
        let (user, folder) = (User::named(user).map_err(|error| error.to_string())?, PODMAN.folder());
        let there = folder.ancestors().find(|folder| folder.exists()).unwrap_or(&folder);
        let [setpriv, ids @ ..] = user.prefix();
        let seen = argv(&setpriv, ids).arg("ls").arg(there).stdout();
        seen.map(drop).map_err(|error| format!("the user cannot read podman: {error}"))
    }

    /// One that runs as root. Its programs are brought first, where they are not there yet.
    pub fn start() -> Result<Podman, Error> {
        Podman::of(None)
    }

    /// One that runs as a user with subordinate ids.
    pub fn start_rootless(user: &str) -> Result<Podman, Error> {
        Podman::of(Some(User::named(user)?))
    }

    fn of(user: Option<User>) -> Result<Podman, Error> {
        PODMAN.bring()?;
        RUNTIME.bring()?;
        let podman = Podman { user, folder: place::folder()? };
        for name in ["home", "run"] {
            fs::create_dir(podman.at(name)).map_err(Error::io(podman.at(name)))?;
        }
        for (name, text) in [
            ("containers.conf", podman.engine_text()),
            ("storage.conf", podman.storage_text()),
            ("registries.conf", "unqualified-search-registries = []\n".to_owned()),
        ] {
            fs::write(podman.at(name), text).map_err(Error::io(podman.at(name)))?;
        }
        if let Some(User { uid, gid }) = &podman.user {
            argv("chown", ["--recursive", &format!("{uid}:{gid}")]).arg(podman.folder.path()).stdout()?;
        }
        Ok(podman)
    }

    /// What the environment of a program must hold for the `podman` that it runs to be this one.
    pub fn environment(&self) -> Vec<(&'static str, OsString)> {
        let mut environment = vec![
            ("CONTAINERS_CONF", self.at("containers.conf").into()),
            ("CONTAINERS_STORAGE_CONF", self.at("storage.conf").into()),
            ("CONTAINERS_REGISTRIES_CONF", self.at("registries.conf").into()),
            ("LD_LIBRARY_PATH", bundle::library_path(&[PODMAN])),
            ("PATH", bundle::search_path(&[PODMAN, RUNTIME])),
        ];
        if self.user.is_some() {
            environment
                .extend([("HOME", self.at("home").into()), ("XDG_RUNTIME_DIR", self.at("run").into())]);
        }
        environment
    }

    /// The folder with the `podman` command line, for a search path.
    pub fn programs(&self) -> PathBuf {
        PODMAN.folder().join("usr/bin")
    }

    /// Where it keeps its data.
    pub fn data(&self) -> PathBuf {
        if self.user.is_some() { self.at("home/.local/share/containers/storage") } else { self.at("data") }
    }

    /// `podman` with arguments, as its user.
    pub fn podman(&self, arguments: &[&str]) -> Argv {
        let podman = self.programs().join("podman");
        let run = match &self.user {
            Some(user) => {
                let [setpriv, ids @ ..] = user.prefix();
                argv(&setpriv, ids).arg(podman)
            }
            None => argv(&podman.to_string_lossy(), [""; 0]),
        };
        let run = arguments.iter().fold(run.folder(self.folder.path()), Argv::arg);
        self.environment().into_iter().fold(run, |run, (name, value)| run.env(name, value))
    }

    /// Loads the image `tag` of a layout as `name`, whole, from an archive that `skopeo` writes.
    pub fn load(&self, layout: &Layout, tag: &str, name: &str) -> Result<(), Error> {
        let archive = self.at("load.tar");
        let target = format!("docker-archive:{}:{name}", archive.display());
        argv("skopeo", ["copy", "--quiet", &layout.name(tag), &target]).stdout()?;
        let loaded = self.podman(&["load", "--quiet", "--input"]).arg(&archive).stdout();
        fs::remove_file(&archive).map_err(Error::io(archive))?;
        loaded.map(drop)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `containers.conf`: which programs, and limits that a test machine may set.
    fn engine_text(&self) -> String {
        let (programs, runtime) = (self.programs(), RUNTIME.folder().join("usr/sbin/runc"));
        let (conmon, runtime) = (programs.join("conmon"), runtime.display());
        let (programs, conmon) = (programs.display(), conmon.display());
        let below = |name: &str| self.at(name).to_string_lossy().into_owned();
        let (tmp, networks) = (below("tmp"), below("networks"));
        format!(
            "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n\
             [engine]\nruntime = \"runc\"\nconmon_path = [\"{conmon}\"]\nhelper_binaries_dir = [\"{programs}\"]\n\
             cgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n\
             tmp_dir = \"{tmp}\"\n\
             [engine.runtimes]\nrunc = [\"{runtime}\"]\n\
             [network]\nnetwork_backend = \"cni\"\nnetwork_config_dir = \"{networks}\"\n"
        )
    }

    /// `storage.conf`; a user's data are always below the home.
    fn storage_text(&self) -> String {
        let (data, run) = (self.data(), self.at("run/storage"));
        format!(
            "[storage]\ndriver = \"overlay\"\ngraphroot = \"{}\"\nrunroot = \"{}\"\n",
            data.display(),
            run.display()
        )
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        // What cannot be removed in order is so below.
        let _ = self.podman(&["rm", "--all", "--force", "--time", "0"]).stdout();
        if self.user.is_some() {
            // It ends the process that keeps the namespaces of a user.
            let _ = self.podman(&["system", "migrate"]).stdout();
        }
        leftovers::await_ends(self.folder.path());
        leftovers::undo_mounts(self.folder.path());
    }
}

impl User {
    fn named(name: &str) -> Result<User, Error> {
        let number = |flag| argv("id", [flag, name]).text().map(|text| text.trim().to_owned());
        Ok(User { uid: number("-u")?, gid: number("-g")? })
    }

    /// The command line before one that runs as this user.
    fn prefix(&self) -> [String; 5] {
        let (user, group) = (format!("--reuid={}", self.uid), format!("--regid={}", self.gid));
        ["setpriv".to_owned(), user, group, "--init-groups".to_owned(), "--".to_owned()]
    }
}
