//! One run of a command: what reading its inputs and taking their answers have to know of each other.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::marker::PhantomData;
use std::task::Poll;

use bert_tasks::stream::Source;

use super::{Consumer, Count};
use crate::error::{Error, Result, describe};
use crate::input::{Inputs, Item, Place};
use crate::reporter::Reporter;
use crate::style::counted;

/// How much text waits for answers at most. It is less, unless texts are long.
const READ_AHEAD: usize = 1 << 20;

/// How many texts that were too long for the model are reported one by one.
const REPORTED_CUTS: u64 = 5;

/// What reading inputs and taking answers have to know of each other.
pub struct Run<'a, C> {
    reporter: &'a Reporter,
    /// That of the input.
    name: &'a str,
    /// Whether there is one input and no more.
    single: bool,
    /// Whether inputs come from a person or another program.
    waits: bool,
    consumer: &'a mut C,
    /// Those without an answer, oldest first.
    waiting: VecDeque<Item>,
    waiting_bytes: usize,
    /// The error of the last answer. It is held back until it is known whether more answers follow: if not, it was no
    /// fault of the text.
    held_back: Option<(Place, bert_tasks::Error)>,
    count: Count,
    /// How many texts were longer than the model's input.
    cut: u64,
    /// How many may fail before the run is given up.
    most_errors: Option<u64>,
    /// How the input ended, once it has.
    ended: Option<Result<()>>,
}

/// The bytes of its texts.
fn bytes_of(item: &Item) -> usize {
    item.texts.iter().map(String::len).sum()
}

impl<'a, C> Run<'a, C> {
    /// A run that begins, over inputs of this name.
    pub fn new(reporter: &'a Reporter, name: &'a str, inputs: &Inputs, consumer: &'a mut C) -> Self {
        Self {
            reporter,
            name,
            single: inputs.is_single(),
            waits: inputs.size().is_none(),
            most_errors: inputs.most_errors(),
            consumer,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            held_back: None,
            count: Count { answered: 0, failed: 0 },
            cut: 0,
            ended: None,
        }
    }

    /// Says what was wrong with an input. When too many were wrong, no more are read.
    fn report(&mut self, place: Place, error: &dyn std::error::Error) {
        self.count.failed += 1;
        self.reporter.error(format_args!("{}{}", At(self.name, place), describe(error)));
        let failed = self.count.failed;
        if self.most_errors.is_some_and(|most| failed > most) && !matches!(self.ended, Some(Err(_))) {
            self.ended = Some(Err(Error::TooManyErrors { failed }));
        }
    }

    /// Says what was wrong with the last input, as it was a fault of the text.
    fn report_held_back(&mut self) {
        if let Some((place, error)) = self.held_back.take() {
            self.report(place, &error);
        }
    }

    /// Takes the answer to the oldest input that waits. Gives where that input ends.
    pub fn take<Answer>(&mut self, answer: bert_tasks::Result<Answer>) -> Result<Option<u64>>
    where
        C: Consumer<Answer>,
    {
        let Some(item) = self.waiting.pop_front() else { return Ok(None) };
        self.waiting_bytes -= bytes_of(&item);
        self.report_held_back();
        let (place, end) = (item.place, item.end);
        match answer {
            Ok(answer) => {
                self.count.answered += 1;
                if let Some(at) = self.consumer.take(item, answer)? {
                    self.cut += 1;
                    if self.cut <= REPORTED_CUTS {
                        let at = format_args!("cut after byte {at}: it is longer than the model's input");
                        self.reporter.warning(format_args!("{}{at}", At(self.name, place)));
                    }
                }
            }
            Err(error) => self.held_back = Some((place, error)),
        }
        Ok(Some(end))
    }

    /// All answers are out, and no more inputs come without waiting.
    fn pause<Answer>(&mut self) -> Result<()>
    where
        C: Consumer<Answer>,
    {
        if !self.single {
            self.report_held_back();
        }
        if self.waits { self.consumer.pause() } else { Ok(()) }
    }

    /// There are no more answers: says what is left to say, and counts them.
    ///
    /// # Errors
    /// That of a device, of the input, or of a single input that cannot be answered.
    pub fn finish(mut self) -> Result<Count> {
        if let Some((place, error)) = self.held_back.take() {
            if self.single || !self.waiting.is_empty() || self.ended.is_none() {
                return Err(error.into());
            }
            self.report(place, &error);
        }
        self.ended.unwrap_or(Ok(()))?;
        if self.cut > REPORTED_CUTS {
            let cut = counted(self.cut, "text was", "texts were");
            self.reporter.warning(format_args!("{cut} longer than the model's input, and cut"));
        }
        Ok(self.count)
    }
}

/// The inputs, read as the task asks for them.
pub struct Asked<'a, 'r, C, F, Answer> {
    run: &'a RefCell<Run<'r, C>>,
    inputs: Inputs,
    /// Makes an input of the task.
    ask: F,
    answer: PhantomData<fn() -> Answer>,
}

impl<'a, 'r, Input, Answer, C: Consumer<Answer>, F: Fn(&[String]) -> Input> Asked<'a, 'r, C, F, Answer> {
    /// The inputs of a run; `ask` makes one of the task from the texts.
    pub fn new(run: &'a RefCell<Run<'r, C>>, inputs: Inputs, ask: F) -> Self {
        Self { run, inputs, ask, answer: PhantomData }
    }

    /// The next good input; `None` in place of one that is bad, or at the end, which the run then knows.
    fn read(&mut self) -> Option<Input> {
        let next = self.inputs.next();
        let mut run = self.run.borrow_mut();
        if let Some(notice) = self.inputs.notice() {
            run.reporter.notice(notice);
        }
        match next {
            Ok(Some(Ok(item))) => {
                let input = (self.ask)(&item.texts);
                run.waiting_bytes += bytes_of(&item);
                run.waiting.push_back(item);
                return Some(input);
            }
            Ok(Some(Err(bad))) => run.report(bad.place, &bad.error),
            Ok(None) => run.ended = Some(Ok(())),
            Err(error) => run.ended = Some(Err(error)),
        }
        None
    }

    fn has_ended(&self) -> bool {
        self.run.borrow().ended.is_some()
    }
}

impl<Input, Answer, C: Consumer<Answer>, F: Fn(&[String]) -> Input> Source for Asked<'_, '_, C, F, Answer> {
    type Item = Input;

    fn next(&mut self) -> Option<Input> {
        while !self.has_ended() {
            // Said before each wait, so that a person, or a program at the other end of a pipe, sees the answers.
            let paused = self.run.borrow_mut().pause();
            if let Err(error) = paused {
                self.run.borrow_mut().ended = Some(Err(error));
                break;
            }
            if let Some(input) = self.read() {
                return Some(input);
            }
        }
        None
    }

    fn try_next(&mut self) -> Poll<Option<Input>> {
        while !self.has_ended() {
            if self.run.borrow().waiting_bytes > READ_AHEAD || !self.inputs.ready() {
                return Poll::Pending;
            }
            if let Some(input) = self.read() {
                return Poll::Ready(Some(input));
            }
        }
        Poll::Ready(None)
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
