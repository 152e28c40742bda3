//! The loop that the commands share: inputs go through a task, answers come out in the order of the inputs.

mod run;

use std::cell::RefCell;

use bert_tasks::Task;
use bert_tasks::stream::Source;

use self::run::{Asked, Run};
use crate::error::{Error, Result};
use crate::input::{Inputs, Item};
use crate::outcome::Outcome;
use crate::output::{Record, Sink};
use crate::reporter::Reporter;

/// Something that answers inputs in their order, such as a [`Task`].
pub trait Answerer {
    /// What is asked.
    type Input;
    /// What comes out.
    type Answer;

    /// Answers any number of inputs. The answers may come late, so that inputs can be batched.
    fn answers<'a>(
        &'a self,
        inputs: impl Source<Item = Self::Input> + 'a,
    ) -> impl Iterator<Item = bert_tasks::Result<Self::Answer>> + 'a;
}

impl<T: Task> Answerer for T {
    type Input = T::Input;
    type Answer = T::Answer;

    fn answers<'a>(
        &'a self,
        inputs: impl Source<Item = T::Input> + 'a,
    ) -> impl Iterator<Item = bert_tasks::Result<T::Answer>> + 'a {
        self.stream_from(inputs)
    }
}

/// What answers one input after the other, such as what takes several passes of a model for each.
pub struct OneByOne<'t, I, A>(pub Box<dyn Fn(I) -> bert_tasks::Result<A> + 't>);

impl<I, A> Answerer for OneByOne<'_, I, A> {
    type Input = I;
    type Answer = A;

    fn answers<'a>(
        &'a self,
        mut inputs: impl Source<Item = I> + 'a,
    ) -> impl Iterator<Item = bert_tasks::Result<A>> + 'a {
        std::iter::from_fn(move || inputs.next().map(|input| (self.0)(input)))
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

    /// No more inputs come without waiting.
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
        self.sink.write_item(item.place.line(), &item.kept, &record)?;
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
pub fn answer_all<T: Answerer, Q: Into<T::Input>, R: Record>(
    reporter: &Reporter,
    inputs: Inputs,
    sink: Sink,
    task: &T,
    ask: impl Fn(&[String]) -> Q,
    record: impl FnMut(Vec<String>, T::Answer) -> R,
) -> Result<Outcome> {
    // Results on the same screen are progress enough, and would break the bar.
    let bar = !sink.is_terminal();
    let mut writer = Writer { sink, record };
    let count = for_each(reporter, inputs, bar, task, ask, &mut writer)?;
    // Where nothing has an answer there is no file; what is wrong has been said.
    if count.answered > 0 || count.failed == 0 {
        writer.sink.finish()?;
    }
    Ok(count.outcome(reporter))
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
    pub fn outcome(self, reporter: &Reporter) -> Outcome {
        match self.failed {
            0 => return Outcome::Done,
            1 => {}
            failed => {
                reporter.error(format_args!("{failed} of {} texts have no answer", failed + self.answered))
            }
        }
        Outcome::Incomplete
    }
}

/// Hands the answer to each input to `consumer`. An input that cannot be read or answered is reported, and
/// the others go on. With `bar`, progress is shown.
///
/// # Errors
/// What ends the run: an input that breaks off or is empty, a consumer or a device that fails, and a single
/// input that cannot be answered.
pub fn for_each<T: Answerer, Q: Into<T::Input>>(
    reporter: &Reporter,
    inputs: Inputs,
    bar: bool,
    task: &T,
    ask: impl Fn(&[String]) -> Q,
    consumer: &mut impl Consumer<T::Answer>,
) -> Result<Count> {
    if inputs.interactive() {
        reporter.notice("reading texts from the terminal, one a line; end with Ctrl-D");
    }
    let name = inputs.name().to_owned();
    let (interactive, may_be_empty) = (inputs.interactive(), inputs.may_be_empty());
    let bar = (bar && !inputs.is_single() && !inputs.interactive()).then(|| reporter.text_bar(inputs.size()));
    let run = RefCell::new(Run::new(reporter, &name, &inputs, consumer));
    for answer in task.answers(Asked::new(&run, inputs, |texts: &[String]| ask(texts).into())) {
        let end = run.borrow_mut().take(answer)?;
        if let (Some(bar), Some(end)) = (&bar, end) {
            bar.advance(end);
        }
    }
    drop(bar);

    let count = run.into_inner().finish()?;
    reporter.add_work(count.answered, "text");
    match count {
        Count { answered: 0, failed: 0 } if !interactive && !may_be_empty => Err(Error::EmptyInput { name }),
        _ => Ok(count),
    }
}
