//! The engine between a task and its model, on a model that counts: the order of answers, how far inputs are
//! read ahead, what becomes of numbers that are none, and of a device that fails.

use std::cell::Cell;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::common::echo::{DAMAGED, Echo, NEVER};
use bert_tasks::stream::{Received, read_ahead};
use bert_tasks::{Error, Task};

#[test]
fn answers_and_refusals_come_in_order() {
    for threads in [Some(1), Some(2), None] {
        for count in [0u32, 1, 2, 9, 130, 5000] {
            let task = Echo::new(threads, NEVER, false);
            let answers: Vec<_> = task.stream(0u32..count).collect();
            assert_eq!(answers.len(), count as usize);
            for (input, answer) in answers.iter().enumerate() {
                match answer {
                    Ok(answer) => assert_eq!(*answer, input as f32),
                    Err(Error::NoMaskToken) => assert_eq!(input % 20, 10),
                    Err(Error::NotFinite { output }) => {
                        assert_eq!((input as u32, *output), (DAMAGED, "pooled hidden state"));
                    }
                    Err(error) => panic!("{input}: {error}"),
                }
            }
        }
    }
}

#[test]
fn inputs_that_are_all_refused_end_too() {
    let task = Echo::new(None, NEVER, false);
    let refused = (0..1000u32).map(|i| 10 + 20 * i);
    assert!(task.stream(refused).all(|answer| matches!(answer, Err(Error::NoMaskToken))));
    assert_eq!(task.1.batches.load(Relaxed), 0);
}

/// No matter how many inputs there are, and how soon the caller stops.
#[test]
fn only_some_inputs_are_read_ahead() {
    for threads in [Some(1), None] {
        let task = Echo::new(threads, NEVER, false);
        let read = Cell::new(0);
        let inputs = (0u32..).inspect(|_| read.set(read.get() + 1));
        let mut furthest = 0;
        for (answered, answer) in task.stream(inputs).enumerate().take(20_000) {
            assert!(answer.is_ok() || answered % 20 == 10 || answered as u32 == DAMAGED);
            furthest = furthest.max(read.get() - answered);
        }
        // Two windows of four batches of 100 tokens, in sequences of one token at least, to the next chunk.
        assert!(furthest <= 2 * (4 * 100 + 128), "{furthest} inputs were held at {threads:?} threads");
    }
}

#[test]
fn a_single_batch_is_computed_by_the_caller() {
    let task = Echo::new(None, NEVER, false);
    assert_eq!(task.predict_one(7u32).unwrap(), 7.0);
    assert_eq!(task.threads_seen(), [thread::current().id()]);
}

#[test]
fn one_thread_stays_one() {
    let task = Echo::new(Some(1), NEVER, false);
    assert_eq!(task.stream(0u32..9).count() + task.stream(20u32..3000).count(), 2989);
    assert_eq!(task.threads_seen(), [thread::current().id()]);
}

#[test]
fn many_batches_are_computed_beside_the_caller() {
    let task = Echo::new(Some(2), NEVER, false);
    assert_eq!(task.stream(0u32..3000).count(), 3000);
    let seen = task.threads_seen();
    assert_eq!(seen.len(), 1);
    assert_ne!(seen, [thread::current().id()]);
}

#[test]
fn a_device_that_fails_ends_the_stream_behind_the_answers_before() {
    for threads in [Some(1), None] {
        for fails_at in [0, 1, 2, 5, 30] {
            let task = Echo::new(threads, fails_at, false);
            let answers: Vec<_> = task.stream((0..10_000u32).map(|i| 20 * i)).collect();
            let (last, answers) = answers.split_last().unwrap();
            assert!(matches!(last, Err(Error::Core(bert_core::Error::Empty { what: "device" }))));
            for (input, answer) in answers.iter().enumerate() {
                assert_eq!(*answer.as_ref().unwrap(), (20 * input) as f32);
            }
            // What comes after the failure is not even tried, but for what was under way.
            assert!(task.1.batches.load(Relaxed) <= fails_at + 3);
        }
    }
}

#[test]
fn a_panic_of_the_model_is_the_callers() {
    let task = Echo::new(None, 3, true);
    let run = std::panic::AssertUnwindSafe(|| task.stream((0..10_000u32).map(|i| 20 * i)).count());
    let panic = std::panic::catch_unwind(run).unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&"the model is out of order"));
}

/// A producer that waits for each answer before it sends the next text would wait forever for a window to fill.
#[test]
fn each_answer_comes_before_the_next_input_is_asked_for() {
    for threads in [Some(1), Some(2), None] {
        let task = Echo::new(threads, NEVER, false);
        let (sender, receiver) = mpsc::channel::<u32>();
        let (answered, answers) = mpsc::channel::<()>();
        let producer = thread::spawn(move || {
            for input in 0..40 {
                sender.send(20 * input).unwrap();
                answers.recv_timeout(Duration::from_secs(20)).expect("an answer before the next input");
            }
        });
        for (index, answer) in task.stream_from(Received(receiver)).enumerate() {
            assert_eq!(answer.unwrap(), 20.0 * index as f32);
            answered.send(()).unwrap();
        }
        producer.join().unwrap();
    }
}

/// The same behind an iterator that blocks, which a thread reads.
#[test]
fn an_iterator_that_blocks_is_read_ahead() {
    let task = Echo::new(None, NEVER, false);
    let (sender, receiver) = mpsc::channel::<u32>();
    let mut answers = task.stream_from(read_ahead(receiver, 8).unwrap());
    for burst in [1u32, 5, 1, 300] {
        let inputs = (0..burst).map(|input| 20 * input);
        inputs.clone().for_each(|input| sender.send(input).unwrap());
        for input in inputs {
            assert_eq!(answers.next().unwrap().unwrap(), input as f32);
        }
    }
    drop(sender);
    assert!(answers.next().is_none());
}

/// The iterator of a channel knows no end, so the first answer does not wait for a second input.
#[test]
fn the_first_of_a_channel_is_answered_before_the_second_is_there() {
    for threads in [Some(1), None] {
        let task = Echo::new(threads, NEVER, false);
        let (sender, inputs) = std::sync::mpsc::channel();
        sender.send(20u32).unwrap();
        let mut answers = task.stream(inputs);
        assert_eq!(answers.next().unwrap().unwrap(), 20.0);
        sender.send(40).unwrap();
        drop(sender);
        assert_eq!(answers.next().unwrap().unwrap(), 40.0);
        assert!(answers.next().is_none());
    }
}

/// An iterator cannot say what is there, but it can be noticed that it is slow.
#[test]
fn a_slow_iterator_gets_each_answer_before_its_next_input() {
    for threads in [Some(1), None] {
        let task = Echo::new(threads, NEVER, false);
        let asked = Cell::new(0);
        let slow = (0..6u32).map(|input| {
            thread::sleep(Duration::from_millis(60));
            asked.set(asked.get() + 1);
            20 * input
        });
        let start = Instant::now();
        for (index, answer) in task.stream(slow).enumerate() {
            assert_eq!(answer.unwrap(), 20.0 * index as f32);
            assert_eq!(asked.get(), index + 1, "{:?}", start.elapsed());
        }
    }
}

/// While the device computes, what arrives is gathered, so that batches grow with the load.
#[test]
fn what_arrives_meanwhile_is_computed_together() {
    let (task, gate) = Echo::gated();
    let (sender, receiver) = mpsc::channel::<u32>();
    sender.send(0).unwrap();
    let producer = thread::spawn(move || {
        (1..=40).for_each(|input| sender.send(17 * 20 * input).unwrap()); // one token each
        drop(sender);
        for _ in 0..100 {
            let _ = gate.send(());
        }
        gate
    });
    let answers: Vec<f32> = task.stream_from(Received(receiver)).map(Result::unwrap).collect();
    assert_eq!(answers.len(), 41);
    drop(producer.join().unwrap());
    assert!(task.1.batches.load(Relaxed) <= 3, "{:?}", task.1.sizes.lock().unwrap());
}
