//! What Ctrl-C and its like do. The first one asks a run that can be stopped to stop; any other ends the process, and
//! leaves no half-written file behind.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, Once};

/// Files that are not whole yet.
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());
/// What the first signal sets.
static SWITCH: Mutex<Option<Arc<AtomicBool>>> = Mutex::new(None);
/// What a hangup sets, in the place of ending the process.
#[cfg(unix)]
static HANGUP: Mutex<Option<Arc<AtomicBool>>> = Mutex::new(None);
/// The exit status of a process that the signal which set the switch would have ended; 0 before.
static STATUS: AtomicU8 = AtomicU8::new(0);

/// Remembers a file that is to be removed if a signal ends the process.
pub fn remove_at_end(path: PathBuf) {
    listen();
    if let Ok(mut unfinished) = UNFINISHED.lock() {
        unfinished.push(path);
    }
}

/// Forgets such a file, which has its name now.
pub fn keep(path: &Path) {
    if let Ok(mut unfinished) = UNFINISHED.lock() {
        unfinished.retain(|other| other != path);
    }
}

/// Lets the next signal set a switch, and end the process no sooner than the one after it.
pub fn set_switch(switch: Arc<AtomicBool>) {
    listen();
    if let Ok(mut current) = SWITCH.lock() {
        *current = Some(switch);
    }
}

/// Lets each hangup set a switch, and end nothing.
#[cfg(unix)]
pub fn set_hangup_switch(switch: Arc<AtomicBool>) {
    listen();
    if let Ok(mut current) = HANGUP.lock() {
        *current = Some(switch);
    }
}

/// What a shell reports for a process that was ended by the signal which set the switch.
pub fn status() -> Option<u8> {
    Some(STATUS.load(Ordering::Acquire)).filter(|&status| status != 0)
}

fn received(status: u8) {
    if let Ok(mut current) = SWITCH.lock()
        && let Some(switch) = current.take()
    {
        STATUS.store(status, Ordering::Release);
        return switch.store(true, Ordering::Release);
    }
    if let Ok(mut unfinished) = UNFINISHED.lock() {
        for path in unfinished.drain(..) {
            // It may be gone already, and there is nobody to tell.
            let _ = fs::remove_file(path);
        }
    }
    std::process::exit(status.into());
}

/// Begins to wait for signals. Without that an interrupted run leaves a temporary file or has to be resumed from its
/// last state, and nothing worse, so that it is no error where it cannot be done.
fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(listen_once);
}

#[cfg(unix)]
fn listen_once() {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    // What the process began with stays: nohup has SIGHUP ignored, and a shell without job control the SIGINT of what it
    // runs in the background.
    let wanted = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|&signal| !is_ignored(signal));
    // Without a thread no signal is caught: it ends the process, as it does without this.
    let (listening, begun) = std::sync::mpsc::channel::<()>();
    let listen = move || {
        if let Ok(mut signals) = signal_hook::iterator::Signals::new(wanted) {
            drop(listening);
            signals.forever().for_each(|signal| match HANGUP.lock().ok().and_then(|switch| switch.clone()) {
                Some(switch) if signal == SIGHUP => switch.store(true, Ordering::Release),
                _ => received(128 + signal as u8),
            });
        }
    };
    if std::thread::Builder::new().spawn(listen).is_ok() {
        let _ = begun.recv();
    }
}

#[cfg(unix)]
fn is_ignored(signal: i32) -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: without a new action the call only writes the present one to the place that it is given.
    let known = unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) } == 0;
    // SAFETY: all zeros are a valid `sigaction`, too.
    known && unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN
}

#[cfg(not(unix))]
fn listen_once() {
    /// As after an interrupt on Unix.
    const INTERRUPTED: u8 = 130;
    let _ = ctrlc::set_handler(|| received(INTERRUPTED));
}
