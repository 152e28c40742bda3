//! A pool of threads for loops over independent tasks.
//!
//! [`ThreadPool::run`] shares task numbers out among the caller and the workers, and returns when all tasks are done. Each
//! thread begins with a part of its own, one after another in the order of the numbers, and then helps the others
//! with theirs. So a thread meets the same rows in operation after operation, and finds them in its own caches:
//! cores that share no cache may take three times as long to hand each other a line as those that do.
//!
//! A worker that has nothing to do spins for some microseconds, as long as the gap between two operations of a
//! model, and then parks. A worker that does not wake in time is not waited for: only those that have entered a
//! loop have to leave it.
//!
//! Tasks write disjoint outputs and each does the same arithmetic on whichever thread it runs, so results
//! do not depend on the number of threads.

use std::any::Any;
use std::cell::{Cell, UnsafeCell};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::*};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::thread::{self, JoinHandle, Thread};

/// More threads than any machine has cores for; a larger number is taken for a mistake.
pub const MAX_THREADS: usize = 4096;

/// How often a worker looks for the next loop before it parks: about 50 µs.
const SPINS: u32 = 2_000;

/// The gate holds the number of the current loop, whether workers may enter it, and how many are inside.
const OPEN: u64 = 1 << 16;
const INSIDE: u64 = OPEN - 1;
const LOOP_SHIFT: u32 = 17;

/// Keeps a counter that several threads write off the cache lines of its neighbours.
#[repr(align(128))]
struct Aligned<T>(T);

/// The loop body, its lifetime erased: it is borrowed from the caller, who waits until nobody uses it.
#[derive(Clone, Copy)]
struct Job {
    body: *const (dyn Fn(usize) + Sync),
    tasks: usize,
}

struct Shared {
    gate: Aligned<AtomicU64>,
    /// Of each thread's part, the caller's first: the next task.
    next: Box<[Aligned<AtomicUsize>]>,
    /// Written only while the gate is closed and nobody is inside.
    job: UnsafeCell<Job>,
    parked: Box<[AtomicBool]>,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    stop: AtomicBool,
}

// SAFETY: `job` is the only part that is not `Sync` by itself; the gate orders its writes and reads.
unsafe impl Sync for Shared {}
// SAFETY: the pointer in `job` is only followed while the caller of `run` keeps its target alive.
unsafe impl Send for Shared {}

/// See the [module](self).
pub(crate) struct ThreadPool {
    shared: Arc<Shared>,
    workers: Vec<(Thread, JoinHandle<()>)>,
    /// Callers take turns. The lock is handed over fairly when it was held for long, so that no caller
    /// starves beside one that starts loop after loop.
    turn: parking_lot::Mutex<()>,
}

thread_local! {
    /// Set while this thread runs tasks: a loop inside a task runs alone instead of waiting for itself.
    static INSIDE_TASK: Cell<bool> = const { Cell::new(false) };
}

impl ThreadPool {
    /// The pool with this many threads, the caller of a loop counted in. Backends share it.
    pub fn shared(threads: usize) -> std::io::Result<Arc<Self>> {
        static POOLS: OnceLock<Mutex<Vec<Weak<ThreadPool>>>> = OnceLock::new();
        let mut pools = POOLS.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
        pools.retain(|pool| pool.strong_count() > 0);
        if let Some(pool) = pools.iter().filter_map(Weak::upgrade).find(|pool| pool.threads() == threads) {
            return Ok(pool);
        }
        let pool = Arc::new(Self::new(threads)?);
        pools.push(Arc::downgrade(&pool));
        Ok(pool)
    }

    fn new(threads: usize) -> std::io::Result<Self> {
        let count = threads.max(1) - 1;
        let shared = Arc::new(Shared {
            gate: Aligned(AtomicU64::new(0)),
            next: (0..=count).map(|_| Aligned(AtomicUsize::new(0))).collect(),
            job: UnsafeCell::new(Job { body: &|_| (), tasks: 0 }),
            parked: (0..count).map(|_| AtomicBool::new(false)).collect(),
            panic: Mutex::new(None),
            stop: AtomicBool::new(false),
        });
        // Built before the threads, so that those that did start are stopped if one does not.
        let mut pool = Self { shared, workers: Vec::with_capacity(count), turn: parking_lot::Mutex::new(()) };
        for index in 0..count {
            let shared = Arc::clone(&pool.shared);
            let worker = thread::Builder::new()
                .name(format!("bert-cpu-{}", index + 1))
                .spawn(move || work(&shared, index))?;
            pool.workers.push((worker.thread().clone(), worker));
        }
        Ok(pool)
    }

    /// How many threads compute, the caller counted in.
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Runs `body(0)`, `body(1)`, … `body(tasks - 1)`, each once, in any order, on any thread.
    ///
    /// Several callers take turns. Where there is one thread, each caller computes on its own.
    ///
    /// # Panics
    /// If a task does, after the tasks that were running have ended.
    pub fn run(&self, tasks: usize, body: impl Fn(usize) + Sync) {
        if tasks <= 1 || self.workers.is_empty() || INSIDE_TASK.get() {
            return (0..tasks).for_each(body);
        }
        let turn = self.turn.lock();
        let shared = &*self.shared;
        let body: *const (dyn Fn(usize) + Sync + '_) = &body;
        // SAFETY: only the lifetime changes. Nobody follows the pointer after the gate below is closed and
        // empty, which this function waits for on every path.
        let body: *const (dyn Fn(usize) + Sync + 'static) = unsafe { std::mem::transmute(body) };
        let job = Job { body, tasks };
        // SAFETY: this thread has the turn, and the gate is closed and empty since the last one ended.
        unsafe { *shared.job.get() = job };
        for (part, next) in shared.next.iter().enumerate() {
            next.0.store(shared.part(part, tasks).start, Relaxed);
        }
        let number = (shared.gate.0.load(Relaxed) >> LOOP_SHIFT) + 1;
        // The strongest order, here and in `rest`: either this thread sees that a worker parks, or the
        // worker sees that the gate is open.
        shared.gate.0.store(number << LOOP_SHIFT | OPEN, SeqCst);
        for (parked, (worker, _)) in shared.parked.iter().zip(&self.workers).take(tasks - 1) {
            if parked.load(SeqCst) && parked.swap(false, SeqCst) {
                worker.unpark();
            }
        }

        shared.run_tasks(job, 0);

        let mut gate = shared.gate.0.fetch_and(!OPEN, AcqRel) & !OPEN;
        let mut spins = 0;
        while gate & INSIDE > 0 {
            // A worker that was put off its core needs one to finish.
            if spins < SPINS {
                std::hint::spin_loop()
            } else {
                thread::yield_now()
            }
            spins += 1;
            gate = shared.gate.0.load(Acquire);
        }
        let panic = shared.panic.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(turn);
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }

    /// Runs `body` on each piece of `length` numbers of `whole`, the last one perhaps shorter.
    pub fn run_pieces<T: Send>(&self, whole: &mut [T], length: usize, body: impl Fn(usize, &mut [T]) + Sync) {
        let total = whole.len();
        let base = Shareable(whole.as_mut_ptr());
        self.run(total.div_ceil(length), |task| {
            let start = task * length;
            // SAFETY: each task has its own range of `whole`, which is borrowed until all are done.
            let piece = unsafe { std::slice::from_raw_parts_mut(base.at(start), length.min(total - start)) };
            body(task, piece);
        });
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        self.shared.stop.store(true, SeqCst);
        for (thread, worker) in self.workers.drain(..) {
            thread.unpark();
            // A worker catches the panics of its tasks, so there is none to pass on.
            let _ = worker.join();
        }
    }
}

impl Shared {
    /// The tasks that a thread begins with.
    fn part(&self, thread: usize, tasks: usize) -> Range<usize> {
        let threads = self.next.len();
        thread * tasks / threads..(thread + 1) * tasks / threads
    }

    /// Takes tasks until there are no more, those of its own part first.
    fn run_tasks(&self, job: Job, thread: usize) {
        INSIDE_TASK.set(true);
        let result = catch_unwind(AssertUnwindSafe(|| {
            let threads = self.next.len();
            for part in (thread..threads).chain(0..thread) {
                let (next, end) = (&self.next[part].0, self.part(part, job.tasks).end);
                // Looks before it takes: at the end all threads pass by all parts.
                while next.load(Relaxed) < end {
                    let task = next.fetch_add(1, Relaxed);
                    if task < end {
                        // SAFETY: this thread is inside the gate or is the caller itself: the body is alive.
                        unsafe { (*job.body)(task) };
                    }
                }
            }
        }));
        INSIDE_TASK.set(false);
        if let Err(panic) = result {
            self.next.iter().for_each(|next| next.0.store(job.tasks, Relaxed));
            self.panic.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(panic);
        }
    }

    /// Waits for a loop other than number `last`, enters it and gives its number; `None` at the end.
    fn enter(&self, index: usize, last: u64) -> Option<u64> {
        let mut spins = 0;
        loop {
            let gate = self.gate.0.load(Acquire);
            if gate & OPEN != 0 && gate >> LOOP_SHIFT != last {
                if self.gate.0.compare_exchange_weak(gate, gate + 1, AcqRel, Relaxed).is_ok() {
                    return Some(gate >> LOOP_SHIFT);
                }
            } else if self.stop.load(Relaxed) {
                return None;
            } else if spins < SPINS {
                spins += 1;
                std::hint::spin_loop();
            } else {
                self.rest(index, last);
                spins = 0;
            }
        }
    }

    fn rest(&self, index: usize, last: u64) {
        self.parked[index].store(true, SeqCst);
        let gate = self.gate.0.load(SeqCst);
        if (gate & OPEN == 0 || gate >> LOOP_SHIFT == last) && !self.stop.load(SeqCst) {
            thread::park();
        }
        self.parked[index].store(false, SeqCst);
    }
}

fn work(shared: &Shared, index: usize) {
    let mut last = 0;
    while let Some(number) = shared.enter(index, last) {
        last = number;
        // SAFETY: inside the gate nobody writes the job.
        let job = unsafe { *shared.job.get() };
        shared.run_tasks(job, index + 1);
        shared.gate.0.fetch_sub(1, Release);
    }
}

/// A pointer that tasks share; each one that follows it says why it may.
pub(crate) struct Shareable<T>(*mut T);

impl<T> Shareable<T> {
    pub fn new(pointer: *mut T) -> Self {
        Self(pointer)
    }

    /// The address of element `index`. A method, so that a closure takes the wrapper and not the pointer.
    pub fn at(&self, index: usize) -> *mut T {
        self.0.wrapping_add(index)
    }
}

// SAFETY: an address alone does no harm; `T: Send` lets its target be used on another thread.
unsafe impl<T: Send> Sync for Shareable<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Send for Shareable<T> {}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashMap};
    use std::sync::Barrier;

    use super::*;

    fn counts(pool: &ThreadPool, tasks: usize) -> Vec<usize> {
        let counts: Vec<_> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
        pool.run(tasks, |task| {
            counts[task].fetch_add(1, Relaxed);
        });
        counts.into_iter().map(AtomicUsize::into_inner).collect()
    }

    #[test]
    fn each_task_runs_once() {
        for threads in [1, 2, 3, 8] {
            let pool = ThreadPool::new(threads).unwrap();
            assert_eq!(pool.threads(), threads);
            for tasks in [0, 1, 2, 7, 1000] {
                assert_eq!(counts(&pool, tasks), vec![1; tasks]);
            }
        }
    }

    #[test]
    fn a_thread_begins_with_its_own_part() {
        let pool = ThreadPool::new(3).unwrap();
        for tasks in [0, 1, 2, 3, 7, 1000] {
            let parts: Vec<_> = (0..3).map(|thread| pool.shared.part(thread, tasks)).collect();
            let mut tasks_of_parts = parts.iter().cloned().flatten();
            assert!(
                (0..tasks).all(|task| tasks_of_parts.next() == Some(task)) && tasks_of_parts.next().is_none()
            );
            assert!(parts.iter().all(|part| part.len().abs_diff(tasks / 3) <= 1));
        }
        let (firsts, meet) = (Mutex::new(HashMap::new()), Barrier::new(3));
        pool.run(9, |task| {
            let mut known = firsts.lock().unwrap();
            let is_first = !known.contains_key(&thread::current().id());
            known.entry(thread::current().id()).or_insert(task);
            drop(known);
            // Nobody takes a second task before all have taken one.
            if is_first {
                meet.wait();
            }
        });
        let firsts = firsts.into_inner().unwrap();
        assert_eq!(firsts[&thread::current().id()], 0);
        assert_eq!(firsts.values().copied().collect::<BTreeSet<_>>(), [0, 3, 6].into());
    }

    #[test]
    fn workers_wake_from_their_rest() {
        let pool = ThreadPool::new(3).unwrap();
        for _ in 0..20 {
            assert_eq!(counts(&pool, 50), [1; 50]);
            while !pool.shared.parked.iter().all(|parked| parked.load(SeqCst)) {
                thread::yield_now();
            }
        }
    }

    #[test]
    fn callers_take_turns() {
        let pool = ThreadPool::new(2).unwrap();
        thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| (0..200).for_each(|_| assert_eq!(counts(&pool, 9), [1; 9])));
            }
        });
    }

    #[test]
    fn a_loop_inside_a_task_runs_alone() {
        let pool = ThreadPool::new(2).unwrap();
        let sum = AtomicUsize::new(0);
        pool.run(4, |outer| {
            pool.run(5, |inner| {
                sum.fetch_add(outer * inner, Relaxed);
            });
        });
        assert_eq!(sum.into_inner(), 60);
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_pool_goes_on() {
        let pool = ThreadPool::new(3).unwrap();
        for bad in [0, 17, 99] {
            let result = catch_unwind(AssertUnwindSafe(|| {
                pool.run(100, |task| assert!(task != bad, "task {bad}"));
            }));
            let panic = result.expect_err("the panic of the task");
            assert!(panic.downcast_ref::<String>().is_some_and(|text| text.contains(&format!("task {bad}"))));
            assert_eq!(counts(&pool, 40), [1; 40]);
        }
    }

    #[test]
    fn pieces_cover_the_whole() {
        let pool = ThreadPool::new(2).unwrap();
        let mut whole = vec![0usize; 103];
        pool.run_pieces(&mut whole, 10, |task, piece| piece.iter_mut().for_each(|x| *x += task + 1));
        assert!(whole.iter().enumerate().all(|(i, &x)| x == i / 10 + 1));
    }

    #[test]
    fn backends_share_a_pool_of_a_size() {
        let (a, b) = (ThreadPool::shared(5).unwrap(), ThreadPool::shared(5).unwrap());
        assert!(Arc::ptr_eq(&a, &b));
    }
}
