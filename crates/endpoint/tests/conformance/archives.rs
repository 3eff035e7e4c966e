//! Archives, one file a name; and streams, whose other end is such a file.

use crate::place::{Abilities, Place};
use async_trait::async_trait;
use endpoint::{
    Address, Destination, Source,
    archive::{ArchiveSource, Archives as Settings},
};
use oci::Reference;
use std::{path::PathBuf, sync::Arc};

enum Form {
    Oci,
    Docker,
    Stream,
}

/// Archives in one folder.
pub struct Archives {
    folder: tempfile::TempDir,
    form: Form,
}

impl Archives {
    pub fn oci() -> Self {
        Archives { folder: tempfile::tempdir().unwrap(), form: Form::Oci }
    }

    pub fn docker() -> Self {
        Archives { folder: tempfile::tempdir().unwrap(), form: Form::Docker }
    }

    pub fn streams() -> Self {
        Archives { folder: tempfile::tempdir().unwrap(), form: Form::Stream }
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.tar"))
    }

    /// An image of a docker archive by a whole name.
    pub fn named(&self, name: &str, reference: &str) -> Arc<dyn Source> {
        let reference = Some(reference.parse().unwrap());
        Arc::new(ArchiveSource::docker(self.file(name), reference, self.folder.path().to_owned()))
    }

    fn reference(name: &str) -> Reference {
        format!("r.example/team/{name}:1").parse().unwrap()
    }

    fn address(&self, name: &str) -> Address {
        let file = self.file(name);
        match self.form {
            Form::Oci => Address::OciArchive { file, tag: Some(name.to_owned()) },
            Form::Docker => Address::DockerArchive { file, reference: Some(Self::reference(name)) },
            Form::Stream => Address::Stream,
        }
    }

    fn settings(&self) -> Settings {
        let work_dir = self.folder.path().to_owned();
        Settings { work_dir, input: None, output: None, stream_names: Vec::new() }
    }
}

#[async_trait]
impl Place for Archives {
    fn abilities(&self) -> Abilities {
        let (kind, knows_itself) = match self.form {
            Form::Oci => ("oci-archive", true),
            Form::Docker => ("docker-archive", true),
            Form::Stream => ("stream", false),
        };
        Abilities { kind, keeps_manifests: true, keeps_indexes: true, knows_itself }
    }

    async fn source(&self, name: &str) -> Arc<dyn Source> {
        let mut settings = self.settings();
        if let Form::Stream = self.form {
            // What never was written is a file that is not there: a stream cannot be absent.
            let Ok(file) = tokio::fs::File::open(self.file(name)).await else {
                return Arc::new(ArchiveSource::docker(self.file(name), None, settings.work_dir));
            };
            settings.input = Some(Box::new(file));
        }
        settings.source(&self.address(name)).unwrap().unwrap()
    }

    async fn destination(&self, name: &str, replace_source: bool) -> Arc<dyn Destination> {
        let mut settings = self.settings();
        if let Form::Stream = self.form {
            settings.output = Some(Box::new(tokio::fs::File::create(self.file(name)).await.unwrap()));
            settings.stream_names = vec![Self::reference(name)];
        }
        settings.destination(&self.address(name), replace_source).unwrap().unwrap()
    }
}
