//! The loop that the commands share: inputs go through a task, answers come out in the order of the inputs.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;

use bert_tasks::Task;

use crate::error::{Error, Result, describe};
use crate::input::{Inputs, Item, Place};
use crate::outcome::Outcome;
use crate::output::{Record, Sink};
use crate::talk::Talk;

/// How much text is read ahead at most. The task reads ahead less, unless texts are long.
const READ_AHEAD: usize = 1 << 20;

/// How many texts that were too long for the model are reported one by one.
const REPORTED_CUTS: u64 = 5;

/// Something that answers inputs in their order, such as a [`Task`].
pub trait Answerer {
    /// What is asked.
    type Input;
    /// What comes out.
    type Answer;

    /// Answers any number of inputs. The answers may come late, so that inputs can be batched.
    fn answers<'a>(
        &'a self,
        inputs: impl Iterator<Item = Self::Input> + 'a,
    ) -> impl Iterator<Item = bert_tasks::Result<Self::Answer>> + 'a;
}

impl<T: Task> Answerer for T {
    type Input = T::Input;
    type Answer = T::Answer;

    fn answers<'a>(
        &'a self,
        inputs: impl Iterator<Item = T::Input> + 'a,
    ) -> impl Iterator<Item = bert_tasks::Result<T::Answer>> + 'a {
        self.stream(inputs)
    }
}

/// What becomes of answers.
pub trait Consumer<Answer> {
    /// Takes the answer to an input; tells the byte of the input behind which the model saw nothing, if it
    /// was too long.
    ///
    /// # Errors
    /// An output that cannot be written.
    fn take(&mut self, item: Item, answer: Answer) -> Result<Option<usize>>;

    /// No more inputs can be had without waiting.
    ///
    /// # Errors
    /// An output that cannot be written.
    fn pause(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Writes a record for each answer.
pub struct Writer<F> {
    sink: Sink,
    record: F,
}

impl<Answer, R: Record, F: FnMut(Vec<String>, Answer) -> R> Consumer<Answer> for Writer<F> {
    fn take(&mut self, item: Item, answer: Answer) -> Result<Option<usize>> {
        let record = (self.record)(item.texts, answer);
        self.sink.write(item.place.line(), &record)?;
        Ok(record.cut())
    }

    fn pause(&mut self) -> Result<()> {
        self.sink.flush()
    }
}

/// Answers all inputs and writes the answers. `ask` makes an input of the task from the texts; `record`
/// makes a result from the texts and the answer.
///
/// # Errors
/// As [`for_each`], and an output that cannot be written.
pub fn answer_all<T: Answerer, R: Record>(
    talk: &Talk,
    inputs: Inputs,
    sink: Sink,
    task: &T,
    ask: impl Fn(&[String]) -> T::Input,
    record: impl FnMut(Vec<String>, T::Answer) -> R,
) -> Result<Outcome> {
    // Results on the same screen are progress enough, and would break the bar.
    let bar = !sink.is_terminal();
    let mut writer = Writer { sink, record };
    let count = for_each(talk, inputs, bar, task, ask, &mut writer)?;
    // Without any answer there is no file; what is wrong has been said.
    if count.answered > 0 {
        writer.sink.finish()?;
    }
    Ok(count.outcome(talk))
}

/// How many inputs were answered and how many were not.
#[derive(Clone, Copy, Debug)]
pub struct Count {
    /// The ones that have an answer.
    pub answered: u64,
    /// The ones that could not be read or answered; each has been reported.
    pub failed: u64,
}

impl Count {
    /// How the command ended.
    pub fn outcome(self, talk: &Talk) -> Outcome {
        match self.failed {
            0 => return Outcome::Done,
            1 => {}
            failed => talk.error(format_args!("{failed} of {} texts have no answer", failed + self.answered)),
        }
        Outcome::Incomplete
    }
}

/// Hands the answer to each input to `consumer`. An input that cannot be read or answered is reported, and
/// the others go on. With `bar`, progress is shown where the length of the input is known.
///
/// # Errors
/// What ends the run: an input that breaks off or is empty, a consumer or a device that fails, and a single
/// input that cannot be answered.
pub fn for_each<T: Answerer>(
    talk: &Talk,
    inputs: Inputs,
    bar: bool,
    task: &T,
    ask: impl Fn(&[String]) -> T::Input,
    consumer: &mut impl Consumer<T::Answer>,
) -> Result<Count> {
    if inputs.interactive() {
        talk.notice("reading texts from the terminal, one a line; end with Ctrl-D");
    }
    let name = inputs.name().to_owned();
    let (single, waits, interactive) = (inputs.is_single(), inputs.size().is_none(), inputs.interactive());
    let bar = inputs.size().filter(|_| bar).map(|size| talk.text_bar(size));
    let inputs = RefCell::new(inputs);
    let failed = Cell::new(0);
    let (mut answered, mut cut) = (0, 0);
    let report = |place: Place, error: &dyn std::error::Error| {
        failed.set(failed.get() + 1);
        talk.error(format_args!("{}{}", At(&name, place), describe(error)));
    };

    let waiting = RefCell::new(VecDeque::<Item>::new());
    loop {
        // One round takes what can be had without waiting, so that a person, or a program at the other end
        // of a pipe, gets the answer to each line at once.
        let read = Cell::new(0);
        let broken = Cell::new(None);
        let asked = std::iter::from_fn(|| {
            while read.get() == 0 || (read.get() < READ_AHEAD && inputs.borrow().ready()) {
                match inputs.borrow_mut().next() {
                    Ok(Some(Ok(item))) => {
                        read.set(read.get() + 1 + item.texts.iter().map(String::len).sum::<usize>());
                        let input = ask(&item.texts);
                        waiting.borrow_mut().push_back(item);
                        return Some(input);
                    }
                    Ok(Some(Err(bad))) => {
                        read.set(read.get() + 1);
                        report(bad.place, &bad.error);
                    }
                    Ok(None) => break,
                    Err(error) => {
                        broken.set(Some(error));
                        break;
                    }
                }
            }
            None
        });

        // Held back until it is known whether more answers follow: if not, it was no fault of the text.
        let mut error: Option<(Place, bert_tasks::Error)> = None;
        for answer in task.answers(asked) {
            let Some(item) = waiting.borrow_mut().pop_front() else { break };
            if let Some((place, error)) = error.take() {
                report(place, &error);
            }
            let (place, end) = (item.place, item.end);
            match answer {
                Ok(answer) => {
                    answered += 1;
                    if let Some(at) = consumer.take(item, answer)? {
                        cut += 1;
                        if cut <= REPORTED_CUTS {
                            let at = format_args!("cut after byte {at}: it is longer than the model's input");
                            talk.warning(format_args!("{}{at}", At(&name, place)));
                        }
                    }
                }
                Err(found) => error = Some((place, found)),
            }
            if let Some(bar) = &bar {
                bar.advance(end);
            }
        }
        match error {
            Some((_, error)) if single || !waiting.borrow().is_empty() => return Err(error.into()),
            Some((place, error)) => report(place, &error),
            None => {}
        }
        if let Some(error) = broken.take() {
            return Err(error);
        }
        if read.get() == 0 {
            break;
        }
        if waits {
            consumer.pause()?;
        }
    }
    drop(bar);

    if cut > REPORTED_CUTS {
        talk.warning(format_args!("{cut} texts were longer than the model's input, and cut"));
    }
    let count = Count { answered, failed: failed.get() };
    match count {
        Count { answered: 0, failed: 0 } if !interactive => Err(Error::EmptyInput { name }),
        _ => Ok(count),
    }
}

/// A place in front of a message.
struct At<'a>(&'a str, Place);

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            Place::Only => Ok(()),
            Place::Argument(number) => write!(f, "text {number}: "),
            Place::Line(line) => write!(f, "{}, line {line}: ", self.0),
        }
    }
}
