//! The classifier, from two examples per intent upwards.

use banter_engine::{
    decide::{
        classifier::Classifier,
        training::{Sample, TrainingSet, train},
    },
    embedding::{Embedder, hashed::HashedEmbedder},
    ids::IntentId,
};

fn classifier(intents: &[&[&str]]) -> (Classifier, HashedEmbedder) {
    let embedder = HashedEmbedder::new(64);
    let samples: Vec<Sample> = intents
        .iter()
        .enumerate()
        .flat_map(|(class, texts)| texts.iter().map(move |text| Sample { text: (*text).to_owned(), class }))
        .collect();
    let texts: Vec<String> = samples.iter().map(|sample| sample.text.clone()).collect();
    let vectors = embedder.embed(&texts).unwrap();
    let (background, blocks, classes) = ((&[][..], &[][..]), embedder.blocks(), intents.len());
    let set = TrainingSet { samples: &samples, vectors: &vectors, background, blocks, classes };
    let fitted = train(&set, &mut |_, _| {});
    let ids = (0..intents.len()).map(|i| IntentId::new(&format!("i{i}"))).collect();
    (Classifier::new(fitted, ids, &samples, &vectors, None), embedder)
}

fn best(intents: &[&[&str]], text: &str) -> String {
    let (classifier, embedder) = classifier(intents);
    let vector = &embedder.embed(&[text.to_owned()]).unwrap()[0];
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
fn training_is_deterministic() {
    let intents: [&[&str]; 2] = [&["red apple", "red pear", "red plum"], &["blue sky", "blue sea", "blue lake"]];
    let probabilities = || {
        let (classifier, embedder) = classifier(&intents);
        let vector = &embedder.embed(&["red sky".to_owned()]).unwrap()[0];
        classifier.classify("red sky", vector).candidates.iter().map(|c| c.probability.to_bits()).collect::<Vec<_>>()
    };
    assert_eq!(probabilities(), probabilities());
}
