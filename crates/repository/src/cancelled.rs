//! Waiting that ends when the order to stop comes.

use crate::{Error, Session};

impl Session<'_> {
    /// What the future gives, unless told to stop before.
    pub(crate) async fn unless_cancelled<T>(
        &self,
        future: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(Error::Cancelled),
            done = future => done,
        }
    }

    /// Does blocking work elsewhere.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let done = tokio::task::spawn_blocking(work);
        let done = async { done.await.map_err(|_| Error::Internal("a worker thread ended early"))? };
        self.unless_cancelled(done).await
    }
}
