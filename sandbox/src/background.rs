//! Low-priority threads for long calls, so that short ones are not delayed.

use tokio::{
    runtime::{Builder, Runtime},
    task::JoinHandle,
};

const THREADS: usize = 2;
/// The lowest priority. `bench/plugins` checks that turns next to long calls take at most twice their usual time.
const NICE: i32 = 19;

pub struct Background {
    /// `None` only during drop.
    runtime: Option<Runtime>,
}

impl Background {
    pub fn start() -> std::io::Result<Self> {
        let lower = || {
            // At normal priority, calls on this thread slow others down but still work.
            if let Err(error) = rustix::process::nice(NICE) {
                tracing::warn!(%error, "long plugin calls run at normal priority");
            }
        };
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(THREADS).thread_name("plugins").on_thread_start(lower).enable_all();
        Ok(Self { runtime: Some(builder.build()?) })
    }

    /// Continues a future that was started elsewhere.
    pub fn spawn<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        match &self.runtime {
            Some(runtime) => runtime.spawn(work),
            None => tokio::spawn(work),
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // The drop may happen in an async context, where blocking is not allowed.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
