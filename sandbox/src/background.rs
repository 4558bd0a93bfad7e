//! Threads of low priority, for calls that take long: what users wait for comes first.

use tokio::{
    runtime::{Builder, Runtime},
    task::JoinHandle,
};

const THREADS: usize = 2;
/// The nicest a thread can be: `bench/plugins` holds others' turns to twice their quiet time.
const NICE: i32 = 19;

pub struct Background {
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
}

impl Background {
    pub fn start() -> std::io::Result<Self> {
        let lower = || {
            // A thread that stays as it is costs others time, and nothing else.
            if let Err(error) = rustix::process::nice(NICE) {
                tracing::warn!(%error, "long calls of plugins run at the usual priority");
            }
        };
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(THREADS).thread_name("plugins").on_thread_start(lower).enable_all();
        Ok(Self { runtime: Some(builder.build()?) })
    }

    /// Goes on with work that has begun elsewhere.
    pub fn spawn<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        match &self.runtime {
            Some(runtime) => runtime.spawn(work),
            None => tokio::spawn(work),
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // It may be dropped where nothing may block.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
