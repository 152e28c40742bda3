//! Requests of many clients: what is computed together, in whose turn, and what becomes of requests that nobody waits
//! for, that find no room, or whose batch fails.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;

use crate::common::echo::{Counting, DAMAGED, Echo, MANY, NEVER};
use crate::common::{Tiny, device};
use bert_tasks::batcher::{Batcher, BatcherOptions, Client};
use bert_tasks::{Embedding, Error, Precision, Task};

/// A number whose sequence has one token.
const SHORT: u32 = 17 * 20;

/// A batcher whose batches wait for the gate, and already has one of them at the gate: the answer to 0.
fn held(capacity: usize) -> (Batcher<Echo>, Arc<Counting>, Sender<()>) {
    let (task, gate) = Echo::gated();
    let counting = task.1.clone();
    let mut options = BatcherOptions::default();
    options.capacity = capacity;
    let batcher = Batcher::with_options(task, options).unwrap();
    let first = batcher.client().submit(0u32).unwrap();
    while counting.sizes.lock().unwrap().is_empty() {
        thread::sleep(Duration::from_millis(1));
    }
    // Only its answer is of no interest; it is being computed.
    drop(first);
    (batcher, counting, gate)
}

fn batches(counting: &Counting) -> Vec<Vec<u32>> {
    counting.sizes.lock().unwrap()[1..].to_vec()
}

/// Compiles only if the futures of every task are `Send`.
async fn answered<T: Task + Send + Sync + 'static>(task: T, input: T::Input) -> Result<T::Answer, Error>
where
    T::Input: Clone,
{
    let alone = tokio::spawn({
        let task = Arc::new(task);
        async move {
            let answer = task.predict_one_async(input.clone()).await?;
            Ok::<_, Error>((answer, task, input))
        }
    });
    let (_, task, input) = alone.await.unwrap()?;
    let task = Arc::into_inner(task).unwrap();
    let batcher = Batcher::new(task)?;
    let client = batcher.client();
    tokio::spawn(async move { client.submit(input)?.await }).await.unwrap()
}

#[test]
fn futures_are_send_and_need_no_runtime_of_their_own() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert_eq!(runtime.block_on(answered(Echo::new(Some(2), NEVER, false), 7)).unwrap(), 7.0);
}

#[test]
fn answers_are_those_of_predict_to_the_last_bit() {
    let tiny = Tiny::new("BertModel", &[]);
    let embedding = Embedding::from_pretrained(&tiny.open(), &device(), Precision::F32).unwrap();
    let texts: Vec<String> =
        (0..60).map(|count| "the bank of the river ".repeat(1 + count % 7) + &count.to_string()).collect();
    let alone: Vec<_> = texts.iter().map(|text| embedding.predict(text).unwrap()).collect();
    let batcher = Batcher::new(embedding).unwrap();
    let clients: Vec<_> = (0..3).map(|_| batcher.client()).collect();
    let replies: Vec<_> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| clients[index % 3].submit(text.as_str()).unwrap())
        .collect();
    for (reply, alone) in replies.into_iter().zip(alone) {
        assert_eq!(reply.wait().unwrap(), alone);
    }
}

#[test]
fn what_waits_is_computed_together_longest_first_up_to_the_budget() {
    let (batcher, counting, gate) = held(100);
    let client = batcher.client();
    // 15, 1 and 8 tokens, and ten times as many again: 240 in all, for a budget of 100.
    let inputs: Vec<u32> = (0..30).map(|index| SHORT * index + [14, 0, 7][index as usize % 3]).collect();
    let inputs: Vec<u32> = inputs.into_iter().filter(|input| input % 20 != 10).collect();
    let replies: Vec<_> = inputs.iter().map(|&input| client.submit(input).unwrap()).collect();
    drop(gate);
    for (reply, input) in replies.into_iter().zip(&inputs) {
        assert_eq!(reply.wait().unwrap(), *input as f32);
    }
    let tokens = |input: &u32| 1 + *input as usize % 17;
    let batches = batches(&counting);
    assert_eq!(batches.iter().map(Vec::len).sum::<usize>(), inputs.len());
    for batch in &batches {
        let lengths: Vec<usize> = batch.iter().map(tokens).collect();
        assert!(lengths.is_sorted_by(|a, b| a >= b) && lengths.iter().sum::<usize>() <= 100, "{lengths:?}");
    }
    // What does not fit waits for the next batch, 15 tokens at most.
    assert!(batches.len() <= inputs.iter().map(tokens).sum::<usize>().div_ceil(100 - 14), "{batches:?}");
}

#[test]
fn a_client_with_many_texts_does_not_hold_up_one_with_a_single_text() {
    let (batcher, counting, gate) = held(20_000);
    let (many, one) = (batcher.client(), batcher.client());
    let replies: Vec<_> = (1..=10_000).map(|index| many.clone().submit(SHORT * index).unwrap()).collect();
    let long = batcher.client().submit(50 * MANY).unwrap();
    let single = one.submit(19u32).unwrap();
    drop(gate);
    assert_eq!(single.wait().unwrap(), 19.0);
    assert!(batches(&counting)[0].contains(&19), "it was in the first batch");
    assert_eq!(long.wait().unwrap(), (50 * MANY) as f32);
    for (index, reply) in (1..).zip(replies) {
        assert_eq!(reply.wait().unwrap(), (SHORT * index) as f32);
    }
}

#[test]
fn what_nobody_waits_for_is_not_computed() {
    let (batcher, counting, gate) = held(4);
    let client = batcher.client();
    let kept = client.submit(20u32).unwrap();
    let dropped: Vec<_> = (2..5u32).map(|index| client.submit(20 * index).unwrap()).collect();
    assert_eq!(batcher.waiting(), 4);
    drop(dropped);
    // They make room at once, too.
    assert_eq!(batcher.waiting(), 1);
    let later = client.submit(200u32).unwrap();
    drop(gate);
    assert_eq!((kept.wait().unwrap(), later.wait().unwrap()), (20.0, 200.0));
    let mut computed = batches(&counting).concat();
    computed.sort_unstable();
    assert_eq!(computed, [20, 200]);
    assert_eq!(batcher.waiting(), 0);
}

#[test]
fn a_full_queue_refuses() {
    let (batcher, _, gate) = held(3);
    let (client, other) = (batcher.client(), batcher.client());
    let replies: Vec<_> = (0..3).map(|_| client.submit(20u32).unwrap()).collect();
    assert!(matches!(other.submit(20u32), Err(Error::QueueFull { capacity: 3 })));
    drop(gate);
    replies.into_iter().for_each(|reply| assert_eq!(reply.wait().unwrap(), 20.0));
    assert_eq!(other.submit(40u32).unwrap().wait().unwrap(), 40.0);
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let mut options = BatcherOptions::default();
    options.capacity = 0;
    let refused = Batcher::with_options(Echo::new(None, NEVER, false), options);
    assert!(matches!(refused, Err(Error::Setting { setting: "capacity", .. })));
}

#[test]
fn what_is_wrong_with_one_request_is_told_to_it_alone() {
    let (batcher, _, gate) = held(10);
    let client = batcher.client();
    let [refused, damaged, good] = [10u32, DAMAGED, 20].map(|input| client.submit(input).unwrap());
    drop(gate);
    assert!(matches!(refused.wait(), Err(Error::NoMaskToken)));
    assert!(matches!(damaged.wait(), Err(Error::NotFinite { .. })));
    assert_eq!(good.wait().unwrap(), 20.0);
    assert_eq!(batcher.waiting(), 0);
}

/// The batch that fails is the first; the batcher goes on.
fn first_fails(panics: bool) -> (Batcher<Echo>, Client<Echo>, Error) {
    let batcher = Batcher::new(Echo::new(Some(2), 0, panics)).unwrap();
    let client = batcher.client();
    let error = client.submit(20u32).unwrap().wait().unwrap_err();
    (batcher, client, error)
}

#[test]
fn a_device_that_fails_gives_errors_and_no_hang() {
    let (_batcher, client, error) = first_fails(false);
    let Error::BatchFailed { source } = error else { panic!("{error}") };
    assert!(matches!(*source, Error::Core(bert_core::Error::Empty { what: "device" })));
    assert_eq!(client.submit(40u32).unwrap().wait().unwrap(), 40.0);
}

#[test]
fn a_panic_gives_errors_and_no_hang() {
    let (_batcher, client, error) = first_fails(true);
    assert!(
        matches!(&error, Error::Panicked { message } if message == "the model is out of order"),
        "{error}"
    );
    assert_eq!(client.submit(40u32).unwrap().wait().unwrap(), 40.0);
}

#[test]
fn a_shutdown_answers_what_was_accepted() {
    let (batcher, counting, gate) = held(100);
    let client = batcher.client();
    let replies: Vec<_> = (0..50u32).map(|index| client.submit(20 * index).unwrap()).collect();
    drop(gate);
    batcher.shutdown();
    assert!(matches!(client.submit(20u32), Err(Error::BatcherEnded)));
    let computed = counting.batches.load(Relaxed);
    for (index, reply) in replies.into_iter().enumerate() {
        assert_eq!(reply.wait().unwrap(), (20 * index) as f32);
    }
    assert_eq!(counting.batches.load(Relaxed), computed);
}
