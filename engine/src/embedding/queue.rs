//! The texts that wait for an encoder, and which of them it is given next.
//!
//! Texts of turns that have begun come first, so that what was let in ends. Then come new turns, each of which is
//! refused if it would wait too long: the wait is foreseen from the pace of the last runs. Patient texts, such as the
//! examples of a bot, take the rest, and one place in each run, so that a reload ends under any load.

use std::{collections::VecDeque, time::Duration};

use super::{EmbeddingError, Urgency};

/// Maximum number of texts in one run. Larger batches do not lower the cost per text, and each text waits for the
/// slowest.
const MAX_BATCH: usize = 8;
/// A batch is chosen from this number of the oldest waiting texts. With more, a text of unusual length waits too long.
const WINDOW: usize = 2 * MAX_BATCH;
/// So many texts of new turns may wait in any case: a slow machine, too, serves some visitors at a time.
const ALWAYS: usize = 64;
/// What remains of the earlier runs after each run: in the time of a text, and in the number of texts of a turn. Many
/// turns may ask for their further texts at the same time.
const TIME_MEMORY: f64 = 0.9;
const TURN_MEMORY: f64 = 0.99;

/// A text that waits.
pub trait Waiting {
    fn urgency(&self) -> Urgency;

    /// In characters.
    fn length(&self) -> usize;
}

/// Texts by urgency, each in the order of arrival.
pub struct Queue<T> {
    begun: VecDeque<T>,
    new: VecDeque<T>,
    patient: VecDeque<T>,
    pace: Pace,
    /// The longest that a new turn may wait.
    patience: Duration,
}

/// What the last runs tell of the next ones.
#[derive(Default)]
struct Pace {
    seconds: f64,
    texts: f64,
    of_turns: f64,
    of_new_turns: f64,
}

impl<T: Waiting> Queue<T> {
    pub fn new(patience: Duration) -> Self {
        let (begun, new, patient) = (VecDeque::new(), VecDeque::new(), VecDeque::new());
        Self { begun, new, patient, pace: Pace::default(), patience }
    }

    /// The text that the next run takes in any case.
    pub fn first(&self) -> Option<&T> {
        self.begun.front().or(self.new.front()).or(self.patient.front())
    }

    /// Removes that text.
    pub fn drop_first(&mut self) {
        let _ = self.begun.pop_front().or_else(|| self.new.pop_front()).or_else(|| self.patient.pop_front());
    }

    pub fn clear(&mut self) {
        self.begun.clear();
        self.new.clear();
        self.patient.clear();
    }

    /// Adds texts of one urgency.
    ///
    /// # Errors
    /// [`EmbeddingError::Busy`] if they are of a new turn that would wait too long.
    pub fn add(&mut self, urgency: Urgency, texts: impl Iterator<Item = T>) -> Result<(), EmbeddingError> {
        if urgency == Urgency::New && self.new.len() >= ALWAYS && self.wait() > self.patience {
            return Err(EmbeddingError::Busy);
        }
        match urgency {
            Urgency::Begun => self.begun.extend(texts),
            Urgency::New => self.new.extend(texts),
            Urgency::Patient => self.patient.extend(texts),
        }
        Ok(())
    }

    /// Takes the texts of the next run.
    pub fn next_batch(&mut self) -> Vec<T> {
        let urgent = MAX_BATCH - usize::from(!self.patient.is_empty());
        let mut batch = Vec::with_capacity(MAX_BATCH);
        take_alike(&mut self.begun, urgent, &mut batch);
        take_alike(&mut self.new, urgent, &mut batch);
        // More of them would make the others wait.
        let room = if batch.is_empty() { MAX_BATCH } else { batch.len() + 1 };
        take_alike(&mut self.patient, room, &mut batch);
        batch
    }

    /// How long the first texts of another turn would wait.
    fn wait(&self) -> Duration {
        let ahead = self.begun.len() as f64 + self.new.len() as f64 * self.pace.texts_of_a_new_one();
        Duration::try_from_secs_f64(ahead * self.pace.seconds_of_a_text()).unwrap_or(Duration::MAX)
    }

    /// Learns how long a run took.
    pub fn ran(&mut self, run: &RunSize, took: Duration) {
        let pace = &mut self.pace;
        pace.seconds = TIME_MEMORY * pace.seconds + took.as_secs_f64();
        pace.texts = TIME_MEMORY * pace.texts + run.texts as f64;
        pace.of_turns = TURN_MEMORY * pace.of_turns + run.of_turns as f64;
        pace.of_new_turns = TURN_MEMORY * pace.of_new_turns + run.of_new_turns as f64;
    }
}

impl Pace {
    fn seconds_of_a_text(&self) -> f64 {
        if self.texts > 0.0 { self.seconds / self.texts } else { 0.0 }
    }

    /// The texts for which turns ask in all, for each first text.
    fn texts_of_a_new_one(&self) -> f64 {
        if self.of_new_turns > 0.0 { self.of_turns / self.of_new_turns } else { 1.0 }
    }
}

/// How many texts a run has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunSize {
    texts: usize,
    of_turns: usize,
    of_new_turns: usize,
}

impl RunSize {
    pub fn of(batch: &[impl Waiting]) -> Self {
        let count = |is: fn(Urgency) -> bool| batch.iter().filter(|text| is(text.urgency())).count();
        Self {
            texts: batch.len(),
            of_turns: count(|urgency| urgency != Urgency::Patient),
            of_new_turns: count(|urgency| urgency == Urgency::New),
        }
    }
}

/// Fills a batch up to `most` texts: the oldest of the queue, and those closest in length to the first of the batch. The
/// model pads all texts of a run to the longest, which costs a seventh of its time for mixed lengths.
fn take_alike<T: Waiting>(queue: &mut VecDeque<T>, most: usize, batch: &mut Vec<T>) {
    let room = most.saturating_sub(batch.len());
    if room == 0 {
        return;
    }
    let window = queue.len().min(WINDOW);
    let mut texts: Vec<Option<T>> = queue.drain(..window).map(Some).collect();
    let lengths: Vec<usize> = texts.iter().flatten().map(Waiting::length).collect();
    let wanted = batch.first().map(Waiting::length).or(lengths.first().copied()).unwrap_or(0);
    let mut order: Vec<usize> = (0..texts.len()).collect();
    // The oldest is taken in any case. A stable sort, so that of equal lengths the older comes first.
    order[1.min(window)..].sort_by_key(|&index| lengths[index].abs_diff(wanted));
    batch.extend(order.iter().take(room).filter_map(|&index| texts[index].take()));
    for text in texts.into_iter().rev().flatten() {
        queue.push_front(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Waiting for (Urgency, usize) {
        fn urgency(&self) -> Urgency {
            self.0
        }

        fn length(&self) -> usize {
            self.1
        }
    }

    type Texts = Queue<(Urgency, usize)>;

    /// A queue with texts of these lengths.
    fn waiting(lengths: &[(Urgency, usize)]) -> Texts {
        let mut queue = Queue::new(Duration::from_millis(800));
        for (urgency, length) in lengths {
            add(&mut queue, *urgency, *length).unwrap();
        }
        queue
    }

    fn add(queue: &mut Texts, urgency: Urgency, length: usize) -> Result<(), EmbeddingError> {
        queue.add(urgency, std::iter::once((urgency, length)))
    }

    #[track_caller]
    fn check(queue: &mut Texts, batches: &[&[usize]]) {
        let lengths = |batch: Vec<(Urgency, usize)>| batch.iter().map(|text| text.1).collect::<Vec<_>>();
        let found: Vec<Vec<usize>> = batches.iter().map(|_| lengths(queue.next_batch())).collect();
        assert_eq!(found, batches);
    }

    #[test]
    fn a_batch_is_the_oldest_text_and_its_equals() {
        let lengths = [5, 40, 6, 41, 4, 42, 5, 43, 6, 44, 7, 45, 8, 46, 9, 47];
        for urgency in [Urgency::Begun, Urgency::New, Urgency::Patient] {
            let mut queue = waiting(&lengths.map(|length| (urgency, length)));
            check(&mut queue, &[&[5, 5, 6, 4, 6, 7, 8, 9], &[40, 41, 42, 43, 44, 45, 46, 47], &[]]);
            assert!(queue.first().is_none());
        }
    }

    #[test]
    fn begun_turns_come_first_and_a_patient_text_rides_along() {
        use Urgency::{Begun, New, Patient};
        let new = [10, 90, 11, 12, 13, 14, 15].map(|length| (New, length));
        let patient = [1, 2, 3].map(|length| (Patient, length));
        let mut queue = waiting(&[patient.as_slice(), &new, &[(Begun, 20), (Begun, 21)]].concat());
        // The oldest new text is taken before those that are closer in length.
        check(&mut queue, &[&[20, 21, 10, 15, 14, 13, 12, 1], &[90, 11, 2], &[3], &[]]);
    }

    #[test]
    fn nobody_waits_for_ever() {
        let mut queue = waiting(&[(Urgency::Patient, 1), (Urgency::New, 90)]);
        for _ in 0..100 {
            add(&mut queue, Urgency::New, 3).unwrap();
        }
        check(&mut queue, &[&[90, 3, 3, 3, 3, 3, 3, 1]]);
    }

    fn ran(queue: &mut Texts, times: usize, of_new_turns: usize, of_begun: usize, milliseconds: u64) {
        let of_turns = of_new_turns + of_begun;
        let run = RunSize { texts: of_turns, of_turns, of_new_turns };
        (0..times).for_each(|_| queue.ran(&run, Duration::from_millis(milliseconds)));
    }

    #[test]
    fn a_new_turn_that_would_wait_too_long_is_refused() {
        let mut queue = waiting(&[]);
        ran(&mut queue, 1, 8, 0, 80);
        // The 81st text waits for 800 ms, which is allowed.
        (0..81).for_each(|_| add(&mut queue, Urgency::New, 5).unwrap());
        assert!(matches!(add(&mut queue, Urgency::New, 5), Err(EmbeddingError::Busy)));
        // Others are not refused.
        add(&mut queue, Urgency::Begun, 5).unwrap();
        add(&mut queue, Urgency::Patient, 5).unwrap();
        // Runs become faster.
        ran(&mut queue, 50, 8, 0, 8);
        add(&mut queue, Urgency::New, 5).unwrap();
    }

    #[test]
    fn the_further_texts_of_turns_ahead_are_foreseen() {
        let mut queue = waiting(&[]);
        ran(&mut queue, 10, 4, 4, 80);
        (0..ALWAYS).for_each(|_| add(&mut queue, Urgency::New, 5).unwrap());
        assert!(add(&mut queue, Urgency::New, 5).is_err(), "each of them brings another text, of 10 ms");
        let mut queue = waiting(&[[(Urgency::Begun, 5); 17].as_slice(), &[(Urgency::New, 5); ALWAYS]].concat());
        ran(&mut queue, 10, 8, 0, 80);
        assert!(add(&mut queue, Urgency::New, 5).is_err(), "those of begun turns come first");
    }

    #[test]
    fn some_may_wait_however_slow_the_model_is() {
        let mut queue = waiting(&[]);
        ran(&mut queue, 10, 1, 0, 10_000);
        (0..ALWAYS).for_each(|_| add(&mut queue, Urgency::New, 5).unwrap());
        assert!(add(&mut queue, Urgency::New, 5).is_err());
    }
}
