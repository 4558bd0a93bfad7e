//! The one writer: a thread that owns its connection. Jobs run in the order in which they were handed in. Everything
//! that has queued up while a commit was on its way to the disk shares the next commit, so that under load a durable
//! write costs a fraction of a sync.

use std::thread;

use futures::future::BoxFuture;
use rusqlite::{
    Connection, TransactionBehavior,
    ffi::{Error, SQLITE_ABORT},
};
use tokio::sync::{mpsc, oneshot};

use super::{StoreError, failed};

/// Jobs that may wait.
const QUEUE: usize = 4_096;
/// Jobs in one transaction, at most.
const GROUP: usize = 256;

/// Tells a job's caller whether the transaction was committed.
type Finish = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// A job's statements. They run in a savepoint of their own: all or none of them.
type WriteJob = Box<dyn FnOnce(&Connection) -> Ended + Send>;

/// A job whose statements have run.
struct Ended {
    good: bool,
    finish: Finish,
}

/// Resolves when a job's transaction is on the disk.
pub type Written<T> = BoxFuture<'static, Result<T, StoreError>>;

/// A handle to the writer's thread.
#[derive(Clone)]
pub struct Writer {
    jobs: mpsc::Sender<WriteJob>,
}

impl Writer {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(connection: Connection) -> Result<Self, StoreError> {
        let (jobs, queue) = mpsc::channel(QUEUE);
        thread::Builder::new()
            .name("sqlite-writer".to_owned())
            .spawn(move || work(connection, queue))
            .map_err(|error| StoreError::outage("sqlite", error.to_string()))?;
        Ok(Self { jobs })
    }

    /// Hands a job in. When this returns, the job's place in the order of writes is fixed; the inner future waits for
    /// the disk.
    pub async fn submit<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<Written<T>, StoreError> {
        let (answer, done) = oneshot::channel();
        let run: WriteJob = Box::new(move |connection| {
            let result = job(connection).map_err(failed);
            let good = result.is_ok();
            let finish: Finish = Box::new(move |committed| {
                // A caller that is gone wants no answer.
                let _ = answer.send(committed.and(result));
            });
            Ended { good, finish }
        });
        self.jobs.send(run).await.map_err(|_| stopped())?;
        Ok(Box::pin(async move { done.await.map_err(|_| stopped())? }))
    }

    /// Waits until everything handed in so far is stored.
    pub async fn close(&self) {
        // The queue is served in order, so an empty job ends after all others. A writer that is gone has nothing left.
        if let Ok(written) = self.submit(|_| Ok(())).await {
            let _ = written.await;
        }
    }
}

fn stopped() -> StoreError {
    StoreError::outage("sqlite", "the writer has stopped")
}

fn work(mut connection: Connection, mut queue: mpsc::Receiver<WriteJob>) {
    let mut group = Vec::with_capacity(GROUP);
    while let Some(first) = queue.blocking_recv() {
        group.push(first);
        while group.len() < GROUP
            && let Ok(job) = queue.try_recv()
        {
            group.push(job);
        }
        // If a group fails, its callers get the error or a closed channel. The next group tries again.
        if let Err(error) = run_group(&mut connection, &mut group) {
            tracing::error!(%error, "the embedded store cannot write");
            group.clear();
        }
    }
}

/// Runs all jobs in one transaction. A job that fails undoes its own statements and no others.
fn run_group(connection: &mut Connection, group: &mut Vec<WriteJob>) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut finishes = Vec::with_capacity(group.len());
    for job in group.drain(..) {
        run(&transaction, "SAVEPOINT job")?;
        let ended = job(&transaction);
        // A full disk undoes the whole transaction; what came after would be stored, and its callers told otherwise.
        if transaction.is_autocommit() {
            return Err(rusqlite::Error::SqliteFailure(Error::new(SQLITE_ABORT), None));
        }
        if !ended.good {
            run(&transaction, "ROLLBACK TO job")?;
        }
        run(&transaction, "RELEASE job")?;
        finishes.push(ended.finish);
    }
    let committed = transaction.commit().map_err(failed);
    for finish in finishes {
        finish(committed.clone());
    }
    Ok(())
}

fn run(connection: &Connection, statement: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(statement)?.execute([]).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn write(writer: &Writer, sql: &'static str) -> Result<usize, StoreError> {
        writer.submit(move |connection| connection.execute(sql, [])).await.unwrap().await
    }

    #[tokio::test]
    async fn a_job_that_fails_undoes_itself_alone() {
        let writer = Writer::start(Connection::open_in_memory().unwrap()).unwrap();
        write(&writer, "CREATE TABLE t (n INTEGER PRIMARY KEY) STRICT").await.unwrap();
        let half = |connection: &Connection| {
            connection.execute("INSERT INTO t VALUES (1)", [])?;
            connection.execute("INSERT INTO t VALUES (1)", [])
        };
        let good = |n: i64| move |connection: &Connection| connection.execute("INSERT INTO t VALUES (?)", [n]);
        let jobs = (
            writer.submit(good(2)).await.unwrap(),
            writer.submit(half).await.unwrap(),
            writer.submit(good(3)).await.unwrap(),
        );
        assert!(jobs.0.await.is_ok() && jobs.1.await.is_err() && jobs.2.await.is_ok());
        let sum =
            writer.submit(|connection| connection.query_row("SELECT SUM(n) FROM t", [], |row| row.get::<_, i64>(0)));
        assert_eq!(sum.await.unwrap().await.unwrap(), 5);
    }
}
