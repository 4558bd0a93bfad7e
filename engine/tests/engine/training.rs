//! The classifier, from two examples per intent upwards.

use banter_engine::{
    decide::{
        classifier::Classifier,
        training::{Sample, TrainingSet, train},
    },
    embedding::{Embedder, Urgency, hashed::HashedEmbedder},
    ids::IntentId,
};

fn classifier(intents: &[&[&str]], background: &[&str]) -> (Classifier, HashedEmbedder) {
    let embedder = HashedEmbedder::new(64);
    let samples: Vec<Sample> = intents
        .iter()
        .enumerate()
        .flat_map(|(class, texts)| texts.iter().map(move |text| Sample { text: (*text).to_owned(), class }))
        .collect();
    let texts: Vec<String> = samples.iter().map(|sample| sample.text.clone()).collect();
    let vectors = embedder.embed(&texts, Urgency::Patient).unwrap();
    let outside: Vec<String> = background.iter().map(|text| (*text).to_owned()).collect();
    let of_background = embedder.embed(&outside, Urgency::Patient).unwrap();
    let set = TrainingSet {
        samples: &samples,
        vectors: &vectors,
        background: (&outside, &of_background),
        blocks: embedder.blocks(),
        classes: intents.len(),
    };
    let fitted = train(&set, &mut |_, _| {});
    let ids = (0..intents.len()).map(|i| IntentId::new(&format!("i{i}"))).collect();
    (Classifier::new(fitted, ids, &samples, &vectors, None), embedder)
}

fn best(intents: &[&[&str]], text: &str) -> String {
    let (classifier, embedder) = classifier(intents, &[]);
    let vector = &embedder.embed(&[text.to_owned()], Urgency::Patient).unwrap()[0];
    let classification = classifier.classify(text, vector);
    let sum: f32 = classification.candidates.iter().map(|c| c.probability).sum();
    assert!(sum <= classification.in_scope + 1e-4);
    classification.candidates.first().map_or("none".to_owned(), |c| c.intent.to_string())
}

#[test]
fn two_examples_are_enough_to_begin_with() {
    let intents: [&[&str]; 3] =
        [&["red apple tree", "red apples"], &["blue sky today", "a blue sky"], &["green sea", "the green sea wave"]];
    assert_eq!(best(&intents, "a red apple"), "i0");
    assert_eq!(best(&intents, "blue skies"), "i1");
    assert_eq!(best(&intents, "green waves"), "i2");
}

#[test]
fn odd_catalogues_do_not_break_it() {
    assert_eq!(best(&[&["only one"]], "only one"), "i0");
    assert_eq!(best(&[&["one", "two"]], "one"), "i0");
    assert_eq!(best(&[&["one"], &["two"]], "two"), "i1");
    assert_eq!(best(&[&["same", "same"], &["same", "other"]], "other"), "i1");
    assert_eq!(best(&[], "anything"), "none");
}

#[test]
fn a_bot_with_one_intent_knows_what_is_not_its_business() {
    let orders: &[&str] =
        &["where is my order", "when does my order come", "track my order", "is my order on its way", "order status"];
    let background =
        ["what is the meaning of life", "tell me a joke", "who won the game", "how tall is that tower", "sing a song"];
    let scope = |text: &str, background: &[&str]| {
        let (classifier, embedder) = classifier(&[orders], background);
        let vector = &embedder.embed(&[text.to_owned()], Urgency::Patient).unwrap()[0];
        classifier.classify(text, vector).in_scope
    };
    let (own, foreign) = ("where is the order", "who can sing and tell a joke");
    assert!(scope(own, &background) > 0.5, "{}", scope(own, &background));
    assert!(scope(foreign, &background) < 0.1, "{}", scope(foreign, &background));
    // Without the background, the only intent takes more of what is foreign.
    assert!(scope(foreign, &background) < scope(foreign, &[]), "{}", scope(foreign, &[]));
}

#[test]
fn training_is_deterministic() {
    let intents: [&[&str]; 2] = [&["red apple", "red pear", "red plum"], &["blue sky", "blue sea", "blue lake"]];
    let probabilities = || {
        let (classifier, embedder) = classifier(&intents, &[]);
        let vector = &embedder.embed(&["red sky".to_owned()], Urgency::Patient).unwrap()[0];
        classifier.classify("red sky", vector).candidates.iter().map(|c| c.probability.to_bits()).collect::<Vec<_>>()
    };
    assert_eq!(probabilities(), probabilities());
}
