//! Where a stream takes its inputs from, and how it learns that none is there yet.

use std::iter::Fuse;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::task::Poll;
#[cfg(not(target_family = "wasm"))]
use std::time::{Duration, Instant};

/// A sequence of inputs that can say whether the next one is there.
///
/// [`Task::stream_from`](crate::Task::stream_from) waits for an input only when it owes no answer, and otherwise takes
/// what has arrived. Every source of inputs that come one by one, from a network or a person, should be one;
/// [`Received`] is one for a channel, and [`read_ahead`] for an iterator that blocks.
pub trait Source {
    /// An input.
    type Item;

    /// The next input, if need be after a wait; `None` at the end.
    fn next(&mut self) -> Option<Self::Item>;

    /// The next input, if it is there; `Ready(None)` at the end.
    fn try_next(&mut self) -> Poll<Option<Self::Item>>;
}

/// The messages of a channel, up to the last sender's end.
///
/// ```
/// # use std::sync::mpsc;
/// # use std::task::Poll;
/// use bert_tasks::stream::{Received, Source};
/// let (sender, receiver) = mpsc::channel();
/// let mut inputs = Received(receiver);
/// assert_eq!(inputs.try_next(), Poll::Pending);
/// sender.send("a text").unwrap();
/// assert_eq!(inputs.try_next(), Poll::Ready(Some("a text")));
/// ```
#[derive(Debug)]
pub struct Received<T>(pub Receiver<T>);

impl<T> Source for Received<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.0.recv().ok()
    }

    fn try_next(&mut self) -> Poll<Option<T>> {
        match self.0.try_recv() {
            Ok(input) => Poll::Ready(Some(input)),
            Err(TryRecvError::Empty) => Poll::Pending,
            Err(TryRecvError::Disconnected) => Poll::Ready(None),
        }
    }
}

/// Reads an iterator that may block on a thread of its own, at most `count` inputs ahead.
///
/// The thread ends with the iterator, or when it has read one input more than is asked for: nobody can interrupt an
/// iterator that blocks.
///
/// A panic of the iterator ends the inputs.
///
/// # Errors
/// [`Error::Thread`](crate::Error::Thread) if the system has no thread left.
#[cfg(not(target_family = "wasm"))]
pub fn read_ahead<I>(inputs: I, count: usize) -> crate::Result<Received<I::Item>>
where
    I: IntoIterator<Item: Send + 'static, IntoIter: Send + 'static>,
{
    let (sender, receiver) = std::sync::mpsc::sync_channel(count);
    let inputs = inputs.into_iter();
    let read = move || {
        for input in inputs {
            if sender.send(input).is_err() {
                break;
            }
        }
    };
    let thread = std::thread::Builder::new().name("bert-reader".into()).spawn(read);
    thread.map_err(|source| crate::Error::Thread { source })?;
    Ok(Received(receiver))
}

/// An iterator, which cannot say whether its next input is there. It is asked for many in a row as long as they come
/// at once; after one that was slow it is asked again only when all answers are out. So it is after the first input of
/// an iterator that knows no end, which may be a channel; a list of inputs knows how long it is.
#[derive(Debug)]
pub struct Inputs<I: Iterator> {
    inputs: Fuse<I>,
    /// Whether the last input took long, or the next one may.
    slow: bool,
    /// Whether the next input is the first of an iterator that knows no end.
    #[cfg(not(target_family = "wasm"))]
    unknown: bool,
}

/// An input that takes longer than this is waited for rather than read or made.
#[cfg(not(target_family = "wasm"))]
const SLOW: Duration = Duration::from_millis(10);

impl<I: Iterator> Inputs<I> {
    pub(crate) fn new(inputs: I) -> Self {
        Self {
            slow: false,
            #[cfg(not(target_family = "wasm"))]
            unknown: inputs.size_hint().1.is_none(),
            inputs: inputs.fuse(),
        }
    }
}

impl<I: Iterator> Source for Inputs<I> {
    type Item = I::Item;

    #[cfg(not(target_family = "wasm"))]
    fn next(&mut self) -> Option<I::Item> {
        let start = Instant::now();
        let input = self.inputs.next();
        self.slow = start.elapsed() > SLOW || std::mem::take(&mut self.unknown);
        input
    }

    /// A browser has no clock for this, and nothing in it may block.
    #[cfg(target_family = "wasm")]
    fn next(&mut self) -> Option<I::Item> {
        self.inputs.next()
    }

    fn try_next(&mut self) -> Poll<Option<I::Item>> {
        if self.slow { Poll::Pending } else { Poll::Ready(self.next()) }
    }
}
