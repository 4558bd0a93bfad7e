//! The thread that owns a [`Model`]. Requests that arrive while it runs share the next batch; it never waits for more.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc},
    thread::{self, JoinHandle},
};

use super::{Embedder, EmbeddingError, Vector, model::Model};

/// Texts in one run of the model at the most: more make no text cheaper, and each waits for the slowest.
const MAX_BATCH: usize = 32;

/// An [`Embedder`] over one worker thread with a bounded queue.
pub struct EmbeddingWorker {
    shared: Arc<Shared>,
    id: String,
    dimension: usize,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    queue: Mutex<Queue>,
    filled: Condvar,
    capacity: usize,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    closed: bool,
}

struct Job {
    text: String,
    place: usize,
    answer: mpsc::Sender<(usize, Result<Vector, EmbeddingError>)>,
}

impl EmbeddingWorker {
    /// Starts the worker; `capacity` texts may wait.
    ///
    /// # Errors
    /// [`EmbeddingError::Failed`] when no thread can be had.
    pub fn start(model: Model, capacity: usize) -> Result<Self, EmbeddingError> {
        let shared = Arc::new(Shared { queue: Mutex::default(), filled: Condvar::new(), capacity: capacity.max(1) });
        let (id, dimension) = (model.id().to_owned(), model.dimension());
        let theirs = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("embedding".to_owned())
            .spawn(move || work(&theirs, model))
            .map_err(|error| EmbeddingError::Failed(error.to_string()))?;
        Ok(Self { shared, id, dimension, thread: Some(thread) })
    }
}

impl Embedder for EmbeddingWorker {
    fn id(&self) -> &str {
        &self.id
    }

    fn dimension(&self) -> usize {
        self.dimension
    }

    fn embed(&self, texts: &[String]) -> Result<Vec<Vector>, EmbeddingError> {
        let (answer, answers) = mpsc::channel();
        {
            let mut queue = self.shared.lock();
            // A list longer than the queue (the examples of a catalogue) is taken when nothing waits.
            if !queue.jobs.is_empty() && queue.jobs.len() + texts.len() > self.shared.capacity {
                return Err(EmbeddingError::Busy);
            }
            queue.jobs.extend(texts.iter().enumerate().map(|(place, text)| Job {
                text: text.clone(),
                place,
                answer: answer.clone(),
            }));
        }
        drop(answer);
        self.shared.filled.notify_one();
        let mut out: Vec<Option<Vector>> = vec![None; texts.len()];
        for (place, result) in answers {
            out[place] = Some(result?);
        }
        out.into_iter()
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| EmbeddingError::Failed("the worker has stopped".to_owned()))
    }
}

impl Drop for EmbeddingWorker {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.filled.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic of the worker has been answered as `Failed`; there is nobody left to tell.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next batch: what waits, shortest texts together so that little is padded. `None` when closed and empty.
    fn next_batch(&self) -> Option<Vec<Job>> {
        let mut queue = self.lock();
        while queue.jobs.is_empty() {
            if queue.closed {
                return None;
            }
            queue = self.filled.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        let take = queue.jobs.len().min(MAX_BATCH);
        Some(queue.jobs.drain(..take).collect())
    }
}

fn work(shared: &Shared, mut model: Model) {
    while let Some(mut batch) = shared.next_batch() {
        let texts: Vec<String> = batch.iter_mut().map(|job| std::mem::take(&mut job.text)).collect();
        let result = model.run(&texts);
        for (index, job) in batch.into_iter().enumerate() {
            let one = match &result {
                Ok(vectors) => Ok(Arc::clone(&vectors[index])),
                Err(error) => Err(EmbeddingError::Failed(error.to_string())),
            };
            // A caller that is gone wants no answer.
            let _ = job.answer.send((job.place, one));
        }
    }
}
