//! The backends that can be compared. Another one is another line in [`candidates`].

use bert_backend_cpu::{CpuBackend, CpuOptions, SimdLevel};
use bert_backend_wgpu::{Limits, WgpuBackend, WgpuOptions};
use bert_core::Backend;
use bert_core::reference::Reference;

use super::fault::Fault;
use super::perf::{self, Timing};
use super::suite::{Plan, Verdict, run};
use super::tolerance::names;
use crate::error::{Error, Result};

/// A backend, with its type forgotten.
pub struct Subject {
    /// Its name, and its instruction set if it has several: `cpu:avx2`.
    pub name: String,
    run: Box<Run>,
    measure: Box<Measure>,
}

type Run = dyn Fn(&Plan) -> Vec<Verdict>;
type Measure = dyn Fn(&Plan) -> Result<Vec<Timing>, Fault>;

impl Subject {
    /// A backend, and the same one with other threads, which has to give the same bits.
    fn new<B: Backend>(name: impl Into<String>, backend: B, twins: Vec<B>) -> Self {
        let (name, timed) = (name.into(), backend.clone());
        Self {
            name: name.clone(),
            run: Box::new(move |plan| run(&name, &backend, &twins, plan)),
            measure: Box::new(move |plan| perf::measure(&timed, plan)),
        }
    }

    /// Runs a plan.
    pub fn run(&self, plan: &Plan) -> Vec<Verdict> {
        (self.run)(plan)
    }

    /// Times the provided operations.
    ///
    /// # Errors
    /// The first one that fails.
    pub fn measure(&self, plan: &Plan) -> Result<Vec<Timing>, Fault> {
        (self.measure)(plan)
    }
}

/// A backend that can be asked for: its name, and how to make it.
type Candidate = (String, Box<dyn Fn(&str) -> Result<Subject>>);

fn candidate<B: Backend, E: std::error::Error + Send + Sync + 'static>(
    name: impl Into<String>,
    make: impl Fn() -> Result<(B, Vec<B>), E> + 'static,
) -> Candidate {
    let make = move |name: &str| match make() {
        Ok((backend, twins)) => Ok(Subject::new(name, backend, twins)),
        Err(source) => Err(Error::Backend { name: name.to_owned(), source: Box::new(source) }),
    };
    (name.into(), Box::new(make))
}

/// All backends of this build.
fn candidates() -> Vec<Candidate> {
    let mut all = vec![candidate("reference", || Ok::<_, bert_core::Error>((Reference, vec![])))];
    all.extend(SimdLevel::available().map(|level| {
        candidate(format!("cpu:{level:?}").to_lowercase(), move || {
            let cpu = |threads| CpuBackend::new(CpuOptions { simd: Some(level), threads });
            Ok::<_, bert_backend_cpu::CpuError>((cpu(None)?, vec![cpu(Some(1))?, cpu(Some(3))?]))
        })
    }));
    all.push(candidate("wgpu", || {
        // Within the limits of every device, not of this one.
        let options = WgpuOptions { limits: Some(Limits::defaults()), ..WgpuOptions::default() };
        pollster::block_on(WgpuBackend::new(&options)).map(|backend| (backend, vec![]))
    }));
    all
}

/// Those that are asked for by name: `cpu` means all of `cpu:portable`, `cpu:avx2` and so on.
///
/// # Errors
/// [`Error::NoBackend`] for a name that fits none, [`Error::Backend`] for one that this machine cannot run.
pub fn chosen(wanted: &[impl AsRef<str>]) -> Result<Vec<Subject>> {
    let all = candidates();
    let is = |wanted: &str, (name, _): &Candidate| names(wanted, name);
    if let Some(found) = wanted.iter().find(|wanted| !all.iter().any(|known| is(wanted.as_ref(), known))) {
        let known = all.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
        return Err(Error::NoBackend { found: found.as_ref().to_owned(), known });
    }
    all.iter()
        .filter(|known| wanted.iter().any(|wanted| is(wanted.as_ref(), known)))
        .map(|(name, make)| make(name))
        .collect()
}
