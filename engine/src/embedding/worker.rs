//! Shares one model between threads. A thread that finds the model free runs it for everyone who waits, then releases
//! it. Requests that arrive during a run share the next batch. Nobody waits for a batch to fill, and a single request
//! runs on its own thread.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc},
};

use super::{Embedder, EmbeddingError, Vector, model::Model};

/// Maximum number of texts in one run. Larger batches do not lower the cost per text, and each text waits for the
/// slowest.
const MAX_BATCH: usize = 8;
/// A batch is chosen from this number of the oldest waiting texts.
const WINDOW: usize = 64;

/// An [`Embedder`] that shares one model and has a bounded queue.
pub struct EmbeddingWorker {
    state: Mutex<WorkerState>,
    changed: Condvar,
    capacity: usize,
    id: String,
    dimension: usize,
    letters: Arc<HashSet<char>>,
}

struct WorkerState {
    queue: VecDeque<Job>,
    model: ModelSlot,
}

/// The state of the model.
enum ModelSlot {
    Free(Box<Model>),
    Running,
    /// The last run panicked.
    Lost,
}

/// The position of a text in its request, and its vector.
type EmbeddedText = (usize, Result<Vector, EmbeddingError>);

struct Job {
    text: String,
    place: usize,
    answer: mpsc::Sender<EmbeddedText>,
}

impl EmbeddingWorker {
    /// Shares a model; up to `capacity` texts may wait.
    pub fn new(model: Model, capacity: usize) -> Self {
        let (id, dimension, letters) = (model.id().to_owned(), model.dimension(), Arc::clone(model.letters()));
        let state = WorkerState { queue: VecDeque::new(), model: ModelSlot::Free(Box::new(model)) };
        Self { state: Mutex::new(state), changed: Condvar::new(), capacity: capacity.max(1), id, dimension, letters }
    }

    /// Whether the model can tell a text from others: to it, emoji are one and the same unknown piece.
    pub fn can_read(&self, text: &str) -> bool {
        let known = |c: char| self.letters.contains(&c) || c.to_lowercase().any(|lower| self.letters.contains(&lower));
        text.chars().any(|c| !c.is_whitespace() && known(c))
    }

    fn lock(&self) -> MutexGuard<'_, WorkerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues texts and returns a receiver for their vectors. A list longer than the queue, such as the examples of a
    /// catalogue, is accepted only if nothing else waits.
    fn enqueue(&self, texts: &[String]) -> Result<mpsc::Receiver<EmbeddedText>, EmbeddingError> {
        let (answer, answers) = mpsc::channel();
        let mut state = self.lock();
        if !state.queue.is_empty() && state.queue.len() + texts.len() > self.capacity {
            return Err(EmbeddingError::Busy);
        }
        let job = |(place, text): (usize, &String)| Job { text: text.clone(), place, answer: answer.clone() };
        state.queue.extend(texts.iter().enumerate().map(job));
        Ok(answers)
    }

    /// Runs one batch if the model is free; otherwise waits for a change.
    fn run_or_wait(&self) -> Result<(), EmbeddingError> {
        let mut state = self.lock();
        match std::mem::replace(&mut state.model, ModelSlot::Running) {
            ModelSlot::Free(model) if !state.queue.is_empty() => {
                let batch = next_batch(&mut state.queue);
                drop(state);
                QueueTurn { worker: self, model: Some(model) }.run(batch);
                Ok(())
            }
            ModelSlot::Free(model) => {
                // Another thread's batch contained this thread's texts; their vectors have arrived.
                state.model = ModelSlot::Free(model);
                Ok(())
            }
            ModelSlot::Running => {
                let waited = self.changed.wait(state);
                drop(waited.unwrap_or_else(PoisonError::into_inner));
                Ok(())
            }
            ModelSlot::Lost => {
                state.model = ModelSlot::Lost;
                state.queue.clear();
                Err(EmbeddingError::Failed("the model has crashed; restart the server".to_owned()))
            }
        }
    }
}

/// Takes the oldest job, and those closest to it in length. The model pads all texts of a run to the longest, which
/// costs a seventh of its time for mixed lengths.
fn next_batch(queue: &mut VecDeque<Job>) -> Vec<Job> {
    let window = queue.len().min(WINDOW);
    let mut jobs: Vec<Option<Job>> = queue.drain(..window).map(Some).collect();
    let length = |job: &Option<Job>| job.as_ref().map_or(0, |job| job.text.chars().count());
    let lengths: Vec<usize> = jobs.iter().map(length).collect();
    let mut order: Vec<usize> = (0..jobs.len()).collect();
    // A stable sort, so that of equal lengths the older comes first.
    order.sort_by_key(|&index| lengths[index].abs_diff(lengths[0]));
    let batch = order.iter().take(MAX_BATCH).filter_map(|&index| jobs[index].take()).collect();
    for job in jobs.into_iter().rev().flatten() {
        queue.push_front(job);
    }
    batch
}

/// One run of the model. However it ends, the model is released or marked as lost, and waiting threads are woken.
struct QueueTurn<'a> {
    worker: &'a EmbeddingWorker,
    model: Option<Box<Model>>,
}

impl QueueTurn<'_> {
    fn run(mut self, mut batch: Vec<Job>) {
        let Some(mut model) = self.model.take() else { return };
        let texts: Vec<String> = batch.iter_mut().map(|job| std::mem::take(&mut job.text)).collect();
        let result = model.run(&texts);
        for (index, job) in batch.into_iter().enumerate() {
            let one = match &result {
                Ok(vectors) => Ok(vectors[index].clone()),
                Err(error) => Err(EmbeddingError::Failed(error.to_string())),
            };
            // The caller may be gone.
            let _ = job.answer.send((job.place, one));
        }
        self.model = Some(model);
    }
}

impl Drop for QueueTurn<'_> {
    fn drop(&mut self) {
        self.worker.lock().model = self.model.take().map_or(ModelSlot::Lost, ModelSlot::Free);
        self.worker.changed.notify_all();
    }
}

impl Embedder for EmbeddingWorker {
    fn id(&self) -> &str {
        &self.id
    }

    fn blocks(&self) -> &[usize] {
        std::slice::from_ref(&self.dimension)
    }

    fn is_alive(&self) -> bool {
        !matches!(self.lock().model, ModelSlot::Lost)
    }

    fn remembers(&self, _: &str) -> bool {
        false
    }

    fn embed(&self, texts: &[String]) -> Result<Vec<Vector>, EmbeddingError> {
        let answers = self.enqueue(texts)?;
        let mut out: Vec<Option<Vector>> = vec![None; texts.len()];
        let mut missing = texts.len();
        while missing > 0 {
            match answers.try_recv() {
                Ok((place, result)) => {
                    out[place] = Some(result?);
                    missing -= 1;
                }
                Err(mpsc::TryRecvError::Empty) => self.run_or_wait()?,
                Err(mpsc::TryRecvError::Disconnected) => {
                    return Err(EmbeddingError::Failed("the model has crashed; restart the server".to_owned()));
                }
            }
        }
        Ok(out.into_iter().flatten().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_the_oldest_text_and_its_equals() {
        let (answer, _answers) = mpsc::channel();
        let lengths = [5, 40, 6, 41, 4, 42, 5, 43, 6, 44, 7, 45, 8, 46, 9, 47];
        let job = |(place, &length): (usize, &usize)| Job { text: "x".repeat(length), place, answer: answer.clone() };
        let mut queue: VecDeque<Job> = lengths.iter().enumerate().map(job).collect();
        let texts = |jobs: &[Job]| jobs.iter().map(|job| job.text.len()).collect::<Vec<_>>();
        assert_eq!(texts(&next_batch(&mut queue)), [5, 5, 6, 4, 6, 7, 8, 9]);
        assert_eq!(texts(&next_batch(&mut queue)), [40, 41, 42, 43, 44, 45, 46, 47]);
        assert!(queue.is_empty() && next_batch(&mut queue).is_empty());
    }

    #[test]
    fn nobody_waits_for_ever() {
        let (answer, _answers) = mpsc::channel();
        let job = |length: usize| Job { text: "x".repeat(length), place: 0, answer: answer.clone() };
        let mut queue: VecDeque<Job> = [job(90)].into();
        for _ in 0..100 {
            queue.push_front(job(3));
        }
        let mut runs = 0;
        while queue.iter().any(|job| job.text.len() == 90) {
            next_batch(&mut queue);
            runs += 1;
        }
        assert!(runs <= 101 / MAX_BATCH + 1, "{runs}");
    }
}
