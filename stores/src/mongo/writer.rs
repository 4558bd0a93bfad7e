//! The one writer of turns: a task that stores all waiting turns with two commands. Turns that come in while a write is
//! on its way share the next one, so that under load a durable turn costs a fraction of a command.

use std::collections::HashSet;

use futures::TryStreamExt;
use mongodb::{
    Collection,
    bson::{Document, RawDocumentBuf, doc, serialize_to_raw_document_buf},
    error::Error,
};
use tokio::sync::{mpsc, oneshot};

use super::{
    STORE,
    document::{damaged, integer, to_document},
    errors::{Refused, Unique, failed, refused_documents},
};
use crate::{Appended, DialogueId, KEY_LIFE, NewTurn, StoreError, breaker::Breaker};

/// Turns that may wait, and turns of one write: so each turn is part of the next write. `late_writes` counts on that.
/// At most twice `limits.parallel_turns` turns are in work, which is no more than this.
const QUEUE: usize = 4_096;
/// The largest document that MongoDB takes, in bytes.
const LARGEST: usize = 16 << 20;

/// A handle to the task.
#[derive(Clone)]
pub(super) struct Writer {
    jobs: mpsc::Sender<Job>,
}

/// A turn's number in its dialogue.
type Place = (DialogueId, i64);

type Fate = Result<Appended, StoreError>;

struct Job {
    /// `None` for the first turn of a dialogue.
    before: Option<Place>,
    /// Finds the turn whose idempotency key this one may take over.
    outlived: Option<Document>,
    document: RawDocumentBuf,
    answer: oneshot::Sender<Fate>,
}

impl Writer {
    /// Starts the task, which ends with the last handle.
    pub(super) fn start(turns: Collection<Document>, breaker: Breaker) -> Self {
        let (jobs, queue) = mpsc::channel(QUEUE);
        tokio::spawn(work(turns, breaker, queue));
        Self { jobs }
    }

    /// Whether the task runs.
    pub(super) fn is_alive(&self) -> bool {
        !self.jobs.is_closed()
    }

    /// Stores a turn, if the turn before is there. Returns when a majority has it.
    ///
    /// # Errors
    /// The store does not respond, or refuses the document.
    pub(super) async fn write(&self, turn: &NewTurn) -> Fate {
        let until = turn.created_at - KEY_LIFE;
        let outlived = |(key, _): &(String, [u8; 32])| {
            doc! { "user_id": turn.user.0, "idempotency_key": key, "created_at": { "$lte": until } }
        };
        // Here and not in the task, so that a document that MongoDB would not take fails alone.
        let document = serialize_to_raw_document_buf(&to_document(turn)?).map_err(damaged)?;
        if document.as_bytes().len() > LARGEST {
            return Err(StoreError::damaged(STORE, "a turn has more than 16 MiB"));
        }
        let (answer, fate) = oneshot::channel();
        let job = Job {
            before: (turn.seq > 1).then_some((turn.dialogue, turn.seq - 1)),
            outlived: turn.idempotency.as_ref().map(outlived),
            document,
            answer,
        };
        self.jobs.send(job).await.map_err(|_| stopped())?;
        fate.await.map_err(|_| stopped())?
    }
}

pub(super) fn stopped() -> StoreError {
    StoreError::outage(STORE, "the writer has stopped")
}

async fn work(turns: Collection<Document>, breaker: Breaker, mut queue: mpsc::Receiver<Job>) {
    let mut jobs = Vec::new();
    while queue.recv_many(&mut jobs, QUEUE).await > 0 {
        let stored = breaker.call(store(&turns, &jobs)).await;
        let fates = stored.unwrap_or_else(|error| vec![Err(error); jobs.len()]);
        for (job, fate) in jobs.drain(..).zip(fates) {
            // A caller that is gone wants no answer.
            let _ = job.answer.send(fate);
        }
    }
}

/// Stores turns; returns what came of each.
async fn store(turns: &Collection<Document>, jobs: &[Job]) -> Result<Vec<Fate>, StoreError> {
    let there = places_before(turns, jobs).await?;
    let follows = |job: &Job| job.before.is_none_or(|place| there.contains(&place));
    let (following, holes): (Vec<usize>, Vec<usize>) = (0..jobs.len()).partition(|&number| follows(&jobs[number]));
    let mut fates = vec![Ok(Appended::Stored); jobs.len()];
    holes.into_iter().for_each(|hole| fates[hole] = Ok(Appended::Conflict));
    for Refused { place, cause } in insert(turns, following.iter().map(|&number| &jobs[number])).await? {
        let number = following[place];
        fates[number] = match cause {
            // The others are stored, whatever comes of this one.
            Ok(Unique::Key) => take_over_key(turns, &jobs[number]).await,
            Ok(Unique::Other) => Ok(Appended::Conflict),
            Err(error) => Err(error),
        };
    }
    Ok(fates)
}

/// Inserts the turns of jobs; returns those that were refused.
async fn insert<'a>(
    turns: &Collection<Document>,
    jobs: impl Iterator<Item = &'a Job>,
) -> Result<Vec<Refused>, StoreError> {
    let documents: Vec<&RawDocumentBuf> = jobs.map(|job| &job.document).collect();
    if documents.is_empty() {
        return Ok(Vec::new());
    }
    match turns.clone_with_type::<RawDocumentBuf>().insert_many(documents).ordered(false).await {
        Ok(_) => Ok(Vec::new()),
        Err(error) => refused_documents(error),
    }
}

/// Stores a turn whose idempotency key another turn has, if that has outlived its key.
async fn take_over_key(turns: &Collection<Document>, job: &Job) -> Fate {
    let Some(outlived) = &job.outlived else { return Ok(Appended::Conflict) };
    let freed = turns.update_one(outlived.clone(), doc! { "$unset": { "idempotency_key": "" } }).await;
    if freed.map_err(failed)?.matched_count == 0 {
        return Ok(Appended::Duplicate);
    }
    let refused = insert(turns, std::iter::once(job)).await?;
    match refused.into_iter().next().map(|refused| refused.cause) {
        None => Ok(Appended::Stored),
        // Another server was faster.
        Some(Ok(Unique::Key)) => Ok(Appended::Duplicate),
        Some(Ok(Unique::Other)) => Ok(Appended::Conflict),
        Some(Err(error)) => Err(error),
    }
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
        // All in one answer.
        let batch = u32::try_from(wanted.len()).unwrap_or(u32::MAX).saturating_add(1);
        let find = turns.find(doc! { "$or": wanted }).projection(doc! { "_id": 0, "dialog_id": 1, "seq": 1 });
        find.batch_size(batch).await?.try_collect().await
    };
    let found: Vec<Document> = found.await.map_err(|error: Error| failed(error))?;
    let place = |turn: &Document| Ok((DialogueId(integer(turn, "dialog_id")?), integer(turn, "seq")?));
    found.iter().map(place).collect()
}
