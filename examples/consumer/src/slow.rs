//! Texts that come one by one: each answer has to be there before the next text is sent.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use bert_tasks::stream::Received;
use bert_tasks::{Embedding, Task};

use crate::Result;

/// How many texts a producer sends.
const COUNT: usize = 8;
/// How long it waits before each.
const PAUSE: Duration = Duration::from_millis(100);

/// How long a text may wait for its answer, on a machine however busy, before it counts as forgotten.
const PATIENCE: Duration = Duration::from_secs(60);

/// Both ways to stream: an iterator, which is noticed to be slow, and a source, which says what has arrived.
pub fn producer(task: &Embedding) -> Result<()> {
    run("stream", |texts, answered| task.stream(texts).try_for_each(|answer| answer.map(|_| answered())))?;
    run("stream_from", |texts, answered| {
        task.stream_from(Received(texts)).try_for_each(|answer| answer.map(|_| answered()))
    })
}

/// Sends texts to `answer` and prints how long each answer took. `answer` says when it has one.
fn run(
    name: &str,
    answer: impl FnOnce(Receiver<String>, &mut dyn FnMut()) -> bert_tasks::Result<()>,
) -> Result<()> {
    let (sender, texts) = mpsc::channel();
    let (sent, times) = mpsc::channel();
    let answers = AtomicUsize::new(0);
    let mut latencies = vec![];
    thread::scope(|scope| -> Result<()> {
        let producer = scope.spawn(|| produce(sender, sent, &answers));
        answer(texts, &mut || {
            let sent: Instant = times.recv().expect("a text is sent before its answer");
            latencies.push(format!("{:.1}", sent.elapsed().as_secs_f64() * 1e3));
            answers.fetch_add(1, Ordering::Release);
        })?;
        producer.join().expect("the producer does not panic")
    })?;
    println!("  {name}: a text each {} ms, answers after {} ms", PAUSE.as_millis(), latencies.join(", "));
    Ok(())
}

/// Sends a text, and [`PAUSE`] after its answer the next; fails if an answer does not come without the next text.
fn produce(texts: Sender<String>, sent: Sender<Instant>, answers: &AtomicUsize) -> Result<()> {
    for number in 1..=COUNT {
        let start = Instant::now();
        sent.send(start)?;
        texts.send(format!("the movie with number {number}"))?;
        while answers.load(Ordering::Acquire) < number {
            if start.elapsed() > PATIENCE {
                return Err(format!("text {number} has no answer while it is the last").into());
            }
            thread::sleep(Duration::from_millis(1));
        }
        thread::sleep(PAUSE);
    }
    Ok(())
}
