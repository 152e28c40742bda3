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

/// Both ways to stream. A source says what has arrived, so that no answer waits for the next text, ever. An iterator is
/// only known to be slow when it has been slow once, so the first text must not be there already.
pub fn producer(task: &Embedding) -> Result<()> {
    run("stream", PAUSE, |texts, answered| {
        task.stream(texts).try_for_each(|answer| answer.map(|_| answered()))
    })?;
    run("stream_from", Duration::ZERO, |texts, answered| {
        task.stream_from(Received(texts)).try_for_each(|answer| answer.map(|_| answered()))
    })
}

/// Sends texts to `answer`, the first after `delay`, and prints how long each answer took. `answer` says when it has one.
fn run(
    name: &str,
    delay: Duration,
    answer: impl FnOnce(Receiver<String>, &mut dyn FnMut()) -> bert_tasks::Result<()>,
) -> Result<()> {
    let (sender, texts) = mpsc::channel();
    let (sent, times) = mpsc::channel();
    let answers = AtomicUsize::new(0);
    let mut latencies = vec![];
    thread::scope(|scope| -> Result<()> {
        let producer = scope.spawn(|| produce(delay, sender, sent, &answers));
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

/// Sends a text each [`PAUSE`]; fails if by the next one its answer is not there.
fn produce(
    delay: Duration,
    texts: Sender<String>,
    sent: Sender<Instant>,
    answers: &AtomicUsize,
) -> Result<()> {
    thread::sleep(delay);
    for number in 1..=COUNT {
        sent.send(Instant::now())?;
        texts.send(format!("the movie with number {number}"))?;
        thread::sleep(PAUSE);
        let answered = answers.load(Ordering::Acquire);
        if answered < number {
            return Err(format!("{answered} of {number} texts are answered when the next is sent").into());
        }
    }
    Ok(())
}
