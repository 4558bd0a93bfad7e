//! The one writer. What is handed in while a commit is on its way to the disk shares the next one, so that durable writes cost
//! a fraction of a sync each. Jobs run in the order in which they were handed in. A single statement that finds the writer idle is run
//! by whoever hands it in, which saves two changes of task.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use futures::future::BoxFuture;
use sqlx::{Connection, SqliteConnection};
use tokio::sync::{Mutex, mpsc, oneshot};

use super::{StoreError, failed};

/// Jobs that may wait.
const QUEUE: usize = 4_096;
/// Jobs in one transaction at the most.
const GROUP: usize = 256;

/// Told whether the transaction was committed.
type Finish = Box<dyn FnOnce(Result<(), StoreError>) + Send>;
type Run = Box<dyn for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Ended> + Send>;

/// A job whose statements have run.
struct Ended {
    good: bool,
    finish: Finish,
}

struct Job {
    statements: Statements,
    run: Run,
}

/// How many statements a job is: a single one that is alone in its group needs no transaction around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statements {
    /// At most one that writes.
    One,
    /// All or none of them.
    Several,
}

/// A handle to the writer's task.
#[derive(Clone)]
pub struct Writer {
    jobs: mpsc::Sender<Job>,
    connection: Arc<Mutex<SqliteConnection>>,
    /// Jobs that have been handed to the task and not ended.
    pending: Arc<AtomicUsize>,
}

impl Writer {
    /// Starts the task on a connection.
    pub fn start(connection: SqliteConnection) -> Self {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let (connection, pending) = (Arc::new(Mutex::new(connection)), Arc::new(AtomicUsize::new(0)));
        tokio::spawn(work(connection.clone(), queue, pending.clone()));
        Self { jobs, connection, pending }
    }

    /// Hands a job in, and waits until its transaction is on the disk.
    pub async fn write<T: Send + 'static>(
        &self,
        job: impl for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, sqlx::Error>> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.submit(Statements::Several, job).await?.await
    }

    /// Hands a job in; the inner future waits for the disk.
    pub async fn submit<T: Send + 'static>(
        &self,
        statements: Statements,
        job: impl for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, sqlx::Error>> + Send + 'static,
    ) -> Result<BoxFuture<'static, Result<T, StoreError>>, StoreError> {
        // The lock is taken here: what is handed in later comes later.
        if statements == Statements::One
            && self.pending.load(Ordering::Acquire) == 0
            && let Ok(mut connection) = self.connection.clone().try_lock_owned()
        {
            return Ok(Box::pin(async move { job(&mut connection).await.map_err(failed) }));
        }
        let (answer, done) = oneshot::channel();
        let run: Run = Box::new(move |connection| {
            Box::pin(async move {
                let result = job(connection).await.map_err(failed);
                let good = result.is_ok();
                let finish: Finish = Box::new(move |committed| {
                    // A caller that is gone wants no answer.
                    let _ = answer.send(committed.and(result));
                });
                Ended { good, finish }
            })
        });
        // A caller that is dropped while it waits for room has not been counted.
        let room = self.jobs.reserve().await.map_err(|_| stopped())?;
        self.pending.fetch_add(1, Ordering::AcqRel);
        room.send(Job { statements, run });
        Ok(Box::pin(async move { done.await.map_err(|_| stopped())? }))
    }

    /// Waits until everything handed in so far is stored.
    pub async fn close(&self) {
        // The queue is served in order, so an empty job ends after all others. A writer that is gone has nothing left.
        let _ = self.write(|_| Box::pin(async { Ok(()) })).await;
    }
}

fn stopped() -> StoreError {
    StoreError::outage("sqlite", "the writer has stopped")
}

async fn work(connection: Arc<Mutex<SqliteConnection>>, mut queue: mpsc::Receiver<Job>, pending: Arc<AtomicUsize>) {
    let mut group = Vec::with_capacity(GROUP);
    loop {
        // While somebody else writes, the group grows.
        let first = queue.recv().await;
        let mut connection = connection.lock().await;
        let Some(first) = first else { return };
        group.push(first);
        while group.len() < GROUP
            && let Ok(job) = queue.try_recv()
        {
            group.push(job);
        }
        let count = group.len();
        write_group(&mut connection, &mut group).await;
        pending.fetch_sub(count, Ordering::AcqRel);
    }
}

async fn write_group(connection: &mut SqliteConnection, group: &mut Vec<Job>) {
    if let [Job { statements: Statements::One, .. }] = group.as_slice() {
        for job in group.drain(..) {
            ((job.run)(connection).await.finish)(Ok(()));
        }
        return;
    }
    // The jobs of a group that fails are dropped or told so; the next group tries anew.
    if let Err(error) = run_group(connection, group).await {
        tracing::error!(%error, "the embedded store cannot write");
        group.clear();
    }
}

/// All jobs in one transaction. A single statement that fails undoes itself; several run in a savepoint of their own.
async fn run_group(connection: &mut SqliteConnection, group: &mut Vec<Job>) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let mut finishes = Vec::with_capacity(group.len());
    for job in group.drain(..) {
        let ended = match job.statements {
            Statements::One => (job.run)(&mut transaction).await,
            Statements::Several => {
                let mut savepoint = transaction.begin().await?;
                let ended = (job.run)(&mut savepoint).await;
                if ended.good {
                    savepoint.commit().await?
                } else {
                    savepoint.rollback().await?
                }
                ended
            }
        };
        finishes.push(ended.finish);
    }
    let committed = transaction.commit().await.map_err(failed);
    for finish in finishes {
        finish(committed.clone());
    }
    Ok(())
}
