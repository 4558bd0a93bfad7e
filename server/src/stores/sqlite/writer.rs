//! The one writer. What is handed in while a commit is on its way to the disk shares the next one, so that durable writes cost
//! a fraction of a sync each. Jobs run in the order in which they were handed in.

use futures::future::BoxFuture;
use sqlx::{Sqlite, SqliteConnection, SqlitePool, Transaction};
use tokio::sync::{mpsc, oneshot};

use super::{StoreError, failed};

/// Jobs that may wait.
const QUEUE: usize = 4_096;
/// Jobs in one transaction at the most.
const GROUP: usize = 256;

/// Told whether the transaction was committed.
type Finish = Box<dyn FnOnce(Result<(), StoreError>) + Send>;
type Job = Box<dyn for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Finish> + Send>;

/// A handle to the writer's task.
#[derive(Clone)]
pub struct Writer {
    jobs: mpsc::Sender<Job>,
}

impl Writer {
    /// Starts the task on a pool of one connection.
    pub fn start(pool: SqlitePool) -> Self {
        let (jobs, queue) = mpsc::channel(QUEUE);
        tokio::spawn(work(pool, queue));
        Self { jobs }
    }

    /// Hands a job in, and waits until its transaction is on the disk.
    pub async fn write<T: Send + 'static>(
        &self,
        job: impl for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, sqlx::Error>> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.submit(job).await?.await
    }

    /// Hands a job in; the inner future waits for the disk.
    pub async fn submit<T: Send + 'static>(
        &self,
        job: impl for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, sqlx::Error>> + Send + 'static,
    ) -> Result<BoxFuture<'static, Result<T, StoreError>>, StoreError> {
        let (answer, done) = oneshot::channel();
        let boxed: Job = Box::new(move |connection| {
            Box::pin(async move {
                let result = job(connection).await.map_err(failed);
                let finish: Finish = Box::new(move |committed| {
                    // A caller that is gone wants no answer.
                    let _ = answer.send(committed.and(result));
                });
                finish
            })
        });
        self.jobs.send(boxed).await.map_err(|_| stopped())?;
        Ok(Box::pin(async move { done.await.map_err(|_| stopped())? }))
    }

    /// Waits until everything handed in so far is stored.
    pub async fn close(&self) {
        // The queue is served in order, so an empty job ends after all others. A writer that is gone has nothing left.
        let _ = self.write(|_| Box::pin(async { Ok(()) })).await;
    }
}

fn stopped() -> StoreError {
    StoreError { store: "sqlite", message: "the writer has stopped".to_owned() }
}

async fn work(pool: SqlitePool, mut queue: mpsc::Receiver<Job>) {
    let mut group = Vec::with_capacity(GROUP);
    while queue.recv_many(&mut group, GROUP).await > 0 {
        match pool.begin_with("BEGIN IMMEDIATE").await {
            Ok(transaction) => run_group(transaction, &mut group).await,
            // Dropped jobs answer `stopped` to their callers; the next group tries anew.
            Err(error) => {
                tracing::error!(%error, "the embedded store cannot write");
                group.clear();
            }
        }
    }
}

/// Each job in a savepoint of its own: one that fails takes nothing with it.
async fn run_group(mut transaction: Transaction<'_, Sqlite>, group: &mut Vec<Job>) {
    let mut finishes = Vec::with_capacity(group.len());
    for job in group.drain(..) {
        finishes.push(job(&mut transaction).await);
    }
    let committed = transaction.commit().await.map_err(failed);
    for finish in finishes {
        finish(committed.clone());
    }
}
