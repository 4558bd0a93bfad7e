//! The one writer of turns: a task that stores all turns that wait with two commands. Turns that come in while a write
//! is on its way share the next one, so that under load a durable turn costs a fraction of a command.

use std::collections::HashSet;

use futures::TryStreamExt;
use mongodb::{
    Collection,
    bson::{Document, doc},
    error::Error,
};
use tokio::sync::{mpsc, oneshot};

use super::{
    STORE,
    document::integer,
    errors::{Unique, failed, refused_documents},
};
use crate::{DialogueId, StoreError, breaker::Breaker};

/// Turns that may wait, and turns of one write: so each turn is part of the next write. `late_writes` counts on that.
const QUEUE: usize = 4_096;

/// What came of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    Stored,
    /// The turn before is not there.
    NothingBefore,
    /// A unique index has its entry already.
    Taken(Unique),
}

/// A handle to the task.
#[derive(Clone)]
pub(super) struct Writer {
    jobs: mpsc::Sender<Job>,
}

/// A turn's number in its dialogue.
type Place = (DialogueId, i64);

struct Job {
    /// `None` for the first turn of a dialogue.
    before: Option<Place>,
    document: Document,
    answer: oneshot::Sender<Result<Written, StoreError>>,
}

impl Writer {
    /// Starts the task, which ends with the last handle.
    pub(super) fn start(turns: Collection<Document>, breaker: Breaker) -> Self {
        let (jobs, queue) = mpsc::channel(QUEUE);
        tokio::spawn(work(turns, breaker, queue));
        Self { jobs }
    }

    /// Stores turn number `seq` of a dialogue, if the turn before is there. Returns when a majority has it.
    ///
    /// # Errors
    /// The store does not respond, or refuses the document.
    pub(super) async fn write(
        &self,
        dialogue: DialogueId,
        seq: i64,
        document: Document,
    ) -> Result<Written, StoreError> {
        let before = (seq > 1).then_some((dialogue, seq - 1));
        let (answer, written) = oneshot::channel();
        self.jobs.send(Job { before, document, answer }).await.map_err(|_| stopped())?;
        written.await.map_err(|_| stopped())?
    }
}

fn stopped() -> StoreError {
    StoreError::outage(STORE, "the writer has stopped")
}

async fn work(turns: Collection<Document>, breaker: Breaker, mut queue: mpsc::Receiver<Job>) {
    let mut jobs = Vec::new();
    while queue.recv_many(&mut jobs, QUEUE).await > 0 {
        let written = breaker.call(store(&turns, &jobs)).await;
        let results = written.unwrap_or_else(|error| vec![Err(error); jobs.len()]);
        for (job, result) in jobs.drain(..).zip(results) {
            // A caller that is gone wants no answer.
            let _ = job.answer.send(result);
        }
    }
}

/// Stores the turns; returns what came of each.
async fn store(turns: &Collection<Document>, jobs: &[Job]) -> Result<Vec<Result<Written, StoreError>>, StoreError> {
    let stored = places_before(turns, jobs).await?;
    let may_follow = |job: &Job| job.before.is_none_or(|place| stored.contains(&place));
    let mut results: Vec<_> = jobs.iter().map(|_| Ok(Written::NothingBefore)).collect();
    let following: Vec<usize> = (0..jobs.len()).filter(|&job| may_follow(&jobs[job])).collect();
    if following.is_empty() {
        return Ok(results);
    }
    for &job in &following {
        results[job] = Ok(Written::Stored);
    }
    let documents = following.iter().map(|&job| &jobs[job].document);
    if let Err(error) = turns.insert_many(documents).ordered(false).await {
        for (document, refusal) in refused_documents(error)? {
            results[following[document]] = refusal;
        }
    }
    Ok(results)
}

/// Those of the turns before that are there. A majority read finds a turn that was acknowledged; what it finds survives
/// a fail-over.
async fn places_before(turns: &Collection<Document>, jobs: &[Job]) -> Result<HashSet<Place>, StoreError> {
    let wanted = jobs.iter().filter_map(|job| job.before);
    let wanted: Vec<Document> = wanted.map(|(dialogue, seq)| doc! { "dialog_id": dialogue.0, "seq": seq }).collect();
    if wanted.is_empty() {
        return Ok(HashSet::new());
    }
    let found = async {
        let find = turns.find(doc! { "$or": wanted }).projection(doc! { "_id": 0, "dialog_id": 1, "seq": 1 });
        find.await?.try_collect().await
    };
    let found: Vec<Document> = found.await.map_err(|error: Error| failed(error))?;
    let place = |turn: &Document| Ok((DialogueId(integer(turn, "dialog_id")?), integer(turn, "seq")?));
    found.iter().map(place).collect()
}
