//! The one writer. What is handed in while a commit is on its way to the disk shares the next one, so that durable writes cost
//! a fraction of a sync each. Jobs run in the order in which they were handed in. A job that finds the writer idle is run by whoever hands it
//! in, on its own thread: no other has to be woken, there and back.

use std::{
    future::ready,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, TryLockError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use futures::{executor::block_on, future::BoxFuture};
use rusqlite::{
    Transaction, TransactionBehavior,
    ffi::{Error, SQLITE_ABORT},
};
use sqlx::SqliteConnection;
use tokio::{
    sync::{mpsc, oneshot},
    task::block_in_place,
};

use super::{StoreError, failed, failed_directly, line::Line};

/// Jobs that may wait.
const QUEUE: usize = 4_096;
/// Jobs in one transaction at the most.
const GROUP: usize = 256;

/// Told whether the transaction was committed.
type Finish = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// Statements of sqlx.
type Queries = dyn for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Ended> + Send;
/// Statements on the thread that calls.
type Calls = dyn FnOnce(&rusqlite::Connection) -> Ended + Send;

/// A job whose statements have run.
struct Ended {
    good: bool,
    finish: Finish,
}

enum Job {
    /// All or none of them.
    Queries(Box<Queries>),
    Calls {
        statements: Statements,
        run: Box<Calls>,
    },
}

/// How many statements a job is: a single one that is alone in its group needs no transaction around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statements {
    /// At most one that writes.
    One,
    /// All or none of them.
    Several,
}

/// What becomes of a caller's thread while it writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thread {
    /// It may be held up.
    Kept,
    /// Its other tasks go to another thread, in a runtime of several.
    HandedOn,
}

/// A handle to the writer's thread.
#[derive(Clone)]
pub struct Writer {
    jobs: mpsc::Sender<Job>,
    line: Arc<Mutex<Line>>,
    /// Jobs that have been handed to the thread and not ended.
    pending: Arc<AtomicUsize>,
}

impl Writer {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(line: Line) -> Result<Self, StoreError> {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let (line, pending) = (Arc::new(Mutex::new(line)), Arc::new(AtomicUsize::new(0)));
        let (shared, counted) = (line.clone(), pending.clone());
        thread::Builder::new()
            .name("sqlite-writer".to_owned())
            .spawn(move || work(&shared, queue, &counted))
            .map_err(|error| StoreError::outage("sqlite", error.to_string()))?;
        Ok(Self { jobs, line, pending })
    }

    /// Hands a job for sqlx in, and waits until its transaction is on the disk.
    pub async fn write<T: Send + 'static>(
        &self,
        job: impl for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, sqlx::Error>> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, done) = oneshot::channel();
        let run = Job::Queries(Box::new(move |connection| {
            Box::pin(async move { ended(job(connection).await.map_err(failed), answer) })
        }));
        self.hand_in(run).await?;
        done.await.map_err(|_| stopped())?
    }

    /// Hands a job in; the inner future waits for the disk.
    pub async fn submit<T: Send + 'static>(
        &self,
        statements: Statements,
        thread: Thread,
        job: impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<BoxFuture<'static, Result<T, StoreError>>, StoreError> {
        let job = match self.idle_line() {
            Some(line) => {
                let run = || match statements {
                    Statements::One => job(&line.direct).map_err(failed_directly),
                    Statements::Several => all_or_none(&line.direct, job).map_err(failed_directly),
                };
                let done = match thread {
                    Thread::Kept => run(),
                    Thread::HandedOn => block_in_place(run),
                };
                return Ok(Box::pin(ready(done)));
            }
            None => job,
        };
        let (answer, done) = oneshot::channel();
        let run = Box::new(move |direct: &rusqlite::Connection| ended(job(direct).map_err(failed_directly), answer));
        self.hand_in(Job::Calls { statements, run }).await?;
        Ok(Box::pin(async move { done.await.map_err(|_| stopped())? }))
    }

    /// The line, if nobody has it or waits for it.
    fn idle_line(&self) -> Option<MutexGuard<'_, Line>> {
        if self.pending.load(Ordering::Acquire) > 0 {
            return None;
        }
        match self.line.try_lock() {
            Ok(line) => Some(line),
            Err(TryLockError::Poisoned(line)) => Some(line.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    async fn hand_in(&self, job: Job) -> Result<(), StoreError> {
        // A caller that is dropped while it waits for room has not been counted.
        let room = self.jobs.reserve().await.map_err(|_| stopped())?;
        self.pending.fetch_add(1, Ordering::AcqRel);
        room.send(job);
        Ok(())
    }

    /// Waits until everything handed in so far is stored.
    pub async fn close(&self) {
        // The queue is served in order, so an empty job ends after all others. A writer that is gone has nothing left.
        let _ = self.write(|_| Box::pin(async { Ok(()) })).await;
    }
}

fn ended<T: Send + 'static>(result: Result<T, StoreError>, answer: oneshot::Sender<Result<T, StoreError>>) -> Ended {
    let good = result.is_ok();
    let finish: Finish = Box::new(move |committed| {
        // A caller that is gone wants no answer.
        let _ = answer.send(committed.and(result));
    });
    Ended { good, finish }
}

fn stopped() -> StoreError {
    StoreError::outage("sqlite", "the writer has stopped")
}

fn all_or_none<T>(
    connection: &rusqlite::Connection,
    job: impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    let done = job(&transaction)?;
    transaction.commit()?;
    Ok(done)
}

fn work(line: &Mutex<Line>, mut queue: mpsc::Receiver<Job>, pending: &AtomicUsize) {
    let mut group = Vec::with_capacity(GROUP);
    while let Some(first) = queue.blocking_recv() {
        // While somebody else writes, the group grows.
        let mut line = line.lock().unwrap_or_else(PoisonError::into_inner);
        group.push(first);
        while group.len() < GROUP
            && let Ok(job) = queue.try_recv()
        {
            group.push(job);
        }
        let count = group.len();
        write_group(&mut line, &mut group);
        pending.fetch_sub(count, Ordering::AcqRel);
    }
}

fn write_group(line: &mut Line, group: &mut Vec<Job>) {
    if let [Job::Calls { statements: Statements::One, .. }] = group.as_slice()
        && let Some(Job::Calls { run, .. }) = group.pop()
    {
        (run(&line.direct).finish)(Ok(()));
        return;
    }
    // The jobs of a group that fails are dropped or told so; the next group tries anew.
    if let Err(error) = run_group(line, group) {
        tracing::error!(%error, "the embedded store cannot write");
        group.clear();
    }
}

/// All jobs in one transaction. A single statement that fails undoes itself; several run in a savepoint of their own.
fn run_group(line: &mut Line, group: &mut Vec<Job>) -> rusqlite::Result<()> {
    let mut transaction = Transaction::new_unchecked(&line.direct, TransactionBehavior::Immediate)?;
    let mut finishes = Vec::with_capacity(group.len());
    for job in group.drain(..) {
        let ended = match job {
            Job::Calls { statements: Statements::One, run } => run(&transaction),
            several => {
                let savepoint = transaction.savepoint()?;
                let ended = match several {
                    Job::Calls { run, .. } => run(&savepoint),
                    Job::Queries(run) => block_on(run(&mut line.connection)),
                };
                if ended.good {
                    savepoint.commit()?
                } else {
                    savepoint.finish()?
                }
                ended
            }
        };
        // A full disk undoes more than its statement: what came after would be stored, and told otherwise.
        if transaction.is_autocommit() {
            return Err(rusqlite::Error::SqliteFailure(Error::new(SQLITE_ABORT), None));
        }
        finishes.push(ended.finish);
    }
    let committed = transaction.commit().map_err(failed_directly);
    for finish in finishes {
        finish(committed.clone());
    }
    Ok(())
}
