//! The loop.

use std::cmp::Reverse;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use bert_core::ModelConfig;
use bert_core::graph::ParameterSource;
use bert_core::random::Random;
use serde::Serialize;

use super::engine::{Batch, Engine, Terms};
use super::folder::{self, Beginning, save_files, save_model};
use super::lock::Lock;
use super::metrics::Metrics;
use super::plan::{Plan, Resumed};
use super::state::{self, Progress};
use super::target::TrainingExample;
use super::tensorboard::EventFile;
use super::{DistillationOptions, Evaluation, Objective, Scorer, TrainOptions, TrainingError};
use super::{distillation, fingerprint};
use crate::order::Order;
use crate::{Device, Pretrained, Result};

/// Trains a model.
pub struct Trainer<'a> {
    base: &'a Pretrained,
    device: &'a Device,
    options: TrainOptions,
    teacher: Option<&'a Pretrained>,
    tensorboard: bool,
    stop: Arc<AtomicBool>,
}

/// What happens in a run; also what `metrics.jsonl` holds.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Report {
    /// A step was made.
    Step {
        /// Which one, from 1.
        step: u64,
        /// Of how many.
        steps: u64,
        /// The loss before it.
        loss: f64,
        /// Its rate.
        learning_rate: f64,
        /// The norm of its gradients, before they were clipped.
        grad_norm: f64,
        /// Tokens that were computed.
        tokens: usize,
        /// Examples whose texts are longer than what the model is to see: the rest of them is not trained on.
        truncated: usize,
        /// How long it took, in seconds.
        seconds: f64,
    },
    /// The model was evaluated.
    Evaluated {
        /// After which step.
        step: u64,
        /// How good it is.
        evaluation: Evaluation,
        /// Whether it is the best so far, and was saved.
        best: bool,
    },
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// Steps that were made in all.
    pub steps: u64,
    /// The best evaluation.
    pub best: Option<Evaluation>,
    /// Whether it was stopped before its end. A state was saved: [`Trainer::resume`] goes on.
    pub stopped: bool,
}

/// A run in progress.
struct Run<'r> {
    objective: &'r dyn Objective,
    out: &'r Path,
    config: ModelConfig,
    engine: Box<dyn Engine>,
    plan: Plan,
    progress: Progress,
    metrics: Metrics,
    events: Option<EventFile>,
    max_length: usize,
}

impl<'a> Trainer<'a> {
    /// Trains the model in `base`, or the encoder in it, on a device.
    pub fn new(base: &'a Pretrained, device: &'a Device, options: TrainOptions) -> Self {
        Self { base, device, options, teacher: None, tensorboard: false, stop: Arc::default() }
    }

    /// Trains the model as a student, which learns to answer as the teacher does. A teacher needs the same vocabulary,
    /// and a head of the same kind with the same labels; a run is refused if it has not.
    ///
    /// ```
    /// # use bert_tasks::data::classification;
    /// # use bert_tasks::training::{Classification, DistillationOptions, TrainOptions, Trainer};
    /// # use bert_tasks::{Device, Pretrained};
    /// # use std::io::Write;
    /// # let folder = tempfile::tempdir()?;
    /// # let file = folder.path().join("train.tsv");
    /// # writeln!(std::fs::File::create(&file)?, "text\tlabel\na good movie\tgood\nnot good\tbad\na bad movie\tbad")?;
    /// # let base = bert_conformance::checkpoint("bert-embedding");
    /// # let base = base.to_str().unwrap();
    /// # let (large, small) = (folder.path().join("large"), folder.path().join("small"));
    /// let (base, device) = (Pretrained::open(base)?, Device::cpu()?);
    /// let examples = classification::read(&file, &classification::Options::default())?;
    /// let task = Classification::new(&base, examples.collect::<Result<_, _>>()?, vec![])?;
    /// let options = TrainOptions { epochs: 1, ..TrainOptions::default() };
    /// Trainer::new(&base, &device, options.clone()).run(&task, &large, |_| ())?;
    ///
    /// let teacher = Pretrained::open(large.to_str().unwrap())?;
    /// let distillation = DistillationOptions { weight: 0.9, ..DistillationOptions::default() };
    /// Trainer::new(&base, &device, options).with_teacher(&teacher, distillation).run(&task, &small, |_| ())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn with_teacher(self, teacher: &'a Pretrained, distillation: DistillationOptions) -> Self {
        let options = TrainOptions { distillation: Some(distillation), ..self.options };
        Self { teacher: Some(teacher), options, ..self }
    }

    /// Writes an event file for TensorBoard into the folder of the run, beside `metrics.jsonl`, if `wanted`.
    #[must_use]
    pub fn with_tensorboard(self, wanted: bool) -> Self {
        Self { tensorboard: wanted, ..self }
    }

    /// A switch: where it is set, the run saves a state after the step that it is at, and ends.
    pub fn stop_switch(&self) -> Arc<AtomicBool> {
        self.stop.clone()
    }

    /// Whether a folder holds a run, or a model, so that none can [begin](Self::run) there.
    pub fn is_occupied(out: &Path) -> bool {
        [state::FILE, "model.safetensors", "adapter_model.safetensors"]
            .iter()
            .any(|file| out.join(file).exists())
    }

    /// Whether a folder holds a run that can [go on](Self::resume). So it is from before the first step on.
    pub fn can_resume(out: &Path) -> bool {
        out.join(state::FILE).exists()
    }

    /// How many steps a run has, unless its patience ends it early.
    pub fn steps(&self, objective: &dyn Objective) -> u64 {
        let of_epochs = self.steps_of_epoch(objective).saturating_mul(self.options.epochs);
        self.options.max_steps.unwrap_or(of_epochs)
    }

    fn steps_of_epoch(&self, objective: &dyn Objective) -> u64 {
        objective.examples().div_ceil(self.options.batch_size.max(1)) as u64
    }

    /// Begins a run in a folder without one. The model that comes out lies there: the best one, or without an
    /// evaluation the last one.
    ///
    /// # Errors
    /// [`TrainingError`]; examples or a base model that cannot be used; a device that failed.
    pub fn run(&self, objective: &dyn Objective, out: &Path, on: impl FnMut(&Report)) -> Result<Summary> {
        if Self::is_occupied(out) {
            return Err(TrainingError::Occupied { path: out.to_owned() }.into());
        }
        let config = objective.configure(self.base.config());
        let begun = self.beginning(objective, &config)?;
        let head = objective.head();
        let source = Beginning::new(self.base, &config, head, self.options.seed);
        let plan = Plan::new(self.base, &config, head, &self.options, &source)?;
        let engine = self.engine(&config, &source, objective, &plan)?;
        fs::create_dir_all(out).map_err(|source| {
            let path = out.to_owned();
            TrainingError::Folder { action: "make", path, source }
        })?;
        let _lock = Lock::take(out)?;
        if Self::is_occupied(out) {
            // By a run that began meanwhile.
            return Err(TrainingError::Occupied { path: out.to_owned() }.into());
        }
        // With a state from the beginning on, whatever ends the run leaves something to go on from; and a folder or a
        // disk that cannot take one shows before any work is done.
        state::save(out, &begun, &*engine)?;
        self.go_on(objective, out, config, (engine, plan), begun, on)
    }

    /// Goes on with the run in a folder, to the same bits that it would have had without a break.
    ///
    /// # Errors
    /// As [`run`](Self::run); [`TrainingError::OtherRun`] if settings, examples or the model differ.
    pub fn resume(&self, objective: &dyn Objective, out: &Path, on: impl FnMut(&Report)) -> Result<Summary> {
        let config = objective.configure(self.base.config());
        let begun = self.beginning(objective, &config)?;
        if !Self::can_resume(out) {
            return Err(TrainingError::NothingToResume { path: out.to_owned() }.into());
        }
        let _lock = Lock::take(out)?;
        let (progress, [masters, mean, square]) = state::open(out)?;
        progress.continues(&begun)?;
        let head = objective.head();
        let beginning = Beginning::new(self.base, &config, head, self.options.seed);
        let plan = Plan::new(self.base, &config, head, &self.options, &beginning)?;
        let source = Resumed { masters: &masters, beginning: &beginning, plan: &plan };
        let mut engine = self.engine(&config, &source, objective, &plan)?;
        engine.restore_moments([&mean, &square])?;
        folder::sweep(out);
        self.go_on(objective, out, config, (engine, plan), progress, on)
    }

    fn beginning(&self, objective: &dyn Objective, config: &ModelConfig) -> Result<Progress> {
        self.options.check()?;
        if objective.examples() == 0 {
            return Err(TrainingError::NoExamples.into());
        }
        if self.options.distillation.is_some() && self.teacher.is_none() {
            let found = "set without a teacher".to_owned();
            let expected = "left to Trainer::with_teacher";
            return Err(TrainingError::Setting { setting: "distillation", found, expected }.into());
        }
        let teacher = match self.teacher {
            Some(teacher) => {
                distillation::check_teacher(teacher, self.base, config, objective, &self.options)?;
                Some(fingerprint::of_teacher(teacher, objective.head())?)
            }
            None => None,
        };
        Ok(Progress {
            step: 0,
            best: None,
            since_best: 0,
            options: self.options.clone(),
            examples: objective.examples(),
            contents: Some(fingerprint::of_examples(objective, self.options.longest(self.base))?),
            teacher,
            config: config.to_json(),
            backend: self.device.info().name.to_owned(),
        })
    }

    fn engine(
        &self,
        config: &ModelConfig,
        source: &dyn ParameterSource,
        objective: &dyn Objective,
        plan: &Plan,
    ) -> Result<Box<dyn Engine>> {
        let mut config = config.clone();
        if !self.options.dropout {
            // Adapters may drop numbers where the model does not.
            config.hidden_dropout_prob = 0.0;
            config.attention_probs_dropout_prob = 0.0;
            config.classifier_dropout = None;
        }
        let mut engine =
            self.device.load_for_training(config, source, objective.head(), TrainOptions::PRECISION)?;
        engine.follow(plan, source)?;
        engine.set_recompute(self.options.recompute);
        if let (Some(teacher), Some(options)) = (self.teacher, self.options.distillation) {
            engine.learn_from(teacher, options)?;
        }
        Ok(engine)
    }

    fn go_on(
        &self,
        objective: &dyn Objective,
        out: &Path,
        config: ModelConfig,
        (engine, plan): (Box<dyn Engine>, Plan),
        progress: Progress,
        on: impl FnMut(&Report),
    ) -> Result<Summary> {
        let max_length = self.options.longest(self.base);
        let metrics = Metrics::open(out, progress.step)?;
        let events = self.tensorboard.then(|| EventFile::begin(out, progress.step)).transpose()?;
        let run = Run { objective, out, config, engine, plan, progress, metrics, events, max_length };
        self.make_steps(run, on)
    }

    fn make_steps(&self, mut run: Run<'_>, mut on: impl FnMut(&Report)) -> Result<Summary> {
        let options = &self.options;
        let each_epoch = self.steps_of_epoch(run.objective);
        let steps = self.steps(run.objective);
        let patient = |run: &Run<'_>| options.patience.is_none_or(|most| run.progress.since_best < most);
        let schedule = options.schedule(steps);
        let examples = run.objective.examples() as u64;
        let batch = options.batch_size as u64;
        while run.progress.step < steps && patient(&run) {
            let (epoch, place) = (run.progress.step / each_epoch, run.progress.step % each_epoch);
            let order = Order::new(examples, Random::new(options.seed).named("order").numbered(epoch));
            let places = place * batch..examples.min((place + 1) * batch);
            let indices: Vec<_> = places.map(|place| order.get(place) as usize).collect();
            let report = run.step(epoch, &indices, options, steps, schedule.rate(run.progress.step))?;
            run.write(&report)?;
            on(&report);

            let step = run.progress.step;
            let ends_epoch = step.is_multiple_of(each_epoch);
            let evaluates =
                step == steps || options.eval_steps.map_or(ends_epoch, |n| step.is_multiple_of(n));
            if evaluates && let Some(report) = run.evaluate(self.base, options)? {
                run.write(&report)?;
                on(&report);
            }
            let over = step == steps || !patient(&run);
            let stopped = self.stop.load(Ordering::Relaxed);
            if evaluates || ends_epoch || stopped || step.is_multiple_of(options.save_steps) {
                state::save(run.out, &run.progress, &*run.engine)?;
            }
            if stopped && !over {
                return Ok(run.summary(true));
            }
        }
        if run.progress.best.is_none() {
            run.save_model(self.base)?;
        }
        Ok(run.summary(false))
    }
}

impl Run<'_> {
    /// Writes down what happened.
    fn write(&mut self, report: &Report) -> Result<()> {
        self.metrics.write(report)?;
        if let Some(events) = &mut self.events {
            events.add(report)?;
        }
        Ok(())
    }

    /// One step over the examples with these indices.
    fn step(
        &mut self,
        epoch: u64,
        indices: &[usize],
        options: &TrainOptions,
        steps: u64,
        learning_rate: f64,
    ) -> Result<Report> {
        let start = Instant::now();
        let step = self.progress.step + 1;
        let head = self.objective.head();
        let mut examples = vec![];
        for &index in indices {
            examples.push(self.objective.example(epoch, index, self.max_length)?);
        }
        let terms = Terms::of(head, &examples);
        let truncated = examples.iter().filter(|example| example.truncated).count();
        let random = Random::new(options.seed).named("dropout").numbered(step);
        let parts = cut(examples, options.token_budget);
        let drops = options.dropout || options.lora.as_ref().is_some_and(|lora| lora.dropout > 0.0);
        let dropout = |index| drops.then(|| random.numbered(index));
        let batches: Vec<_> =
            (0..).zip(&parts).map(|(index, part)| Batch::new(part, dropout(index))).collect();
        let tokens = batches.iter().map(|batch| batch.packed.tokens()).sum();
        let mut loss = 0.0;
        match self.objective.vectors() {
            Some(vectors) => loss = self.engine.accumulate_vectors(&batches, &vectors)?,
            None => {
                for Batch { packed, targets, dropout } in &batches {
                    loss += self.engine.accumulate(packed, targets, &terms, *dropout)?;
                }
            }
        }
        let grad_norm = self.engine.norm()?;
        for (what, number) in [("loss", loss), ("norm of the gradients", grad_norm)] {
            if !number.is_finite() {
                return Err(TrainingError::NotFinite { step, what }.into());
            }
        }
        self.engine.step(&options.adam(), step, learning_rate, options.max_grad_norm, grad_norm)?;
        self.progress.step = step;
        let seconds = start.elapsed().as_secs_f64();
        Ok(Report::Step { step, steps, loss, learning_rate, grad_norm, tokens, truncated, seconds })
    }

    /// Evaluates, and keeps the model if it is the best so far.
    fn evaluate(&mut self, base: &Pretrained, options: &TrainOptions) -> Result<Option<Report>> {
        let scorer =
            Scorer { engine: &*self.engine, token_budget: options.token_budget, max_length: self.max_length };
        let Some(evaluation) = self.objective.evaluate(&scorer)? else { return Ok(None) };
        let best = self.progress.best.as_ref().is_none_or(|best| evaluation.value > best.value);
        if best {
            self.save_model(base)?;
            self.progress.best = Some(evaluation.clone());
            self.progress.since_best = 0;
        } else {
            self.progress.since_best += 1;
        }
        Ok(Some(Report::Evaluated { step: self.progress.step, evaluation, best }))
    }

    fn save_model(&self, base: &Pretrained) -> Result<()> {
        save_model(self.out, base, &self.config, self.objective.head(), &*self.engine, &self.plan)?;
        save_files(self.out, self.objective.files())
    }

    fn summary(&self, stopped: bool) -> Summary {
        Summary { steps: self.progress.step, best: self.progress.best.clone(), stopped }
    }
}

/// Cuts examples into batches of at most `budget` tokens, or of one example, those of like length together.
fn cut(mut examples: Vec<TrainingExample>, budget: usize) -> Vec<Vec<TrainingExample>> {
    let tokens = |example: &TrainingExample| -> usize {
        example.sequences.iter().map(|sequence| sequence.ids.len()).sum()
    };
    examples.sort_by_key(|example| Reverse(tokens(example)));
    let (mut batches, mut spent): (Vec<Vec<TrainingExample>>, usize) = (vec![], usize::MAX);
    for example in examples {
        let own = tokens(&example);
        spent = spent.saturating_add(own);
        match batches.last_mut() {
            Some(batch) if spent <= budget => batch.push(example),
            _ => {
                batches.push(vec![example]);
                spent = own;
            }
        }
    }
    batches
}
