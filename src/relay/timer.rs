//! A timer for pauses of fractions of a millisecond, to which the runtime's own timer rounds up.

use std::time::Duration;

/// The resolution of the runtime's timer.
const TICK: Duration = Duration::from_millis(1);

/// Sleeps by the system's clock where that can be done on the thread that waits: on Linux, by a timer that is a file. A blocking thread
/// for each pause would have to be woken, and to wake this one, which took 0.13 ms longer.
pub(super) struct Timer {
    #[cfg(target_os = "linux")]
    file: Option<linux::TimerFile>,
}

impl Timer {
    /// Creates a timer in the current runtime. If the system has no more files, its pauses last as long as the runtime's timer makes them.
    pub(super) fn new() -> Self {
        Self {
            #[cfg(target_os = "linux")]
            file: linux::TimerFile::new().ok(),
        }
    }

    /// Sleeps for `pause`. A dropped sleep leaves nothing behind for the next.
    pub(super) async fn sleep(&self, pause: Duration) {
        #[cfg(target_os = "linux")]
        if pause < TICK
            && let Some(file) = &self.file
            && file.sleep(pause).await.is_ok()
        {
            return;
        }
        tokio::time::sleep(pause).await;
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    use std::os::fd::OwnedFd;
    use std::time::Duration;

    use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime};
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    /// A `timerfd`, see `timerfd_create(2)`.
    pub(super) struct TimerFile(AsyncFd<OwnedFd>);

    impl TimerFile {
        #[expect(deprecated, reason = "its successor is unsafe, for types that own no file; this one does")]
        pub(super) fn new() -> io::Result<Self> {
            let file = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
            AsyncFd::with_interest(file, Interest::READABLE).map(Self)
        }

        /// Sleeps for less than a second. Setting the timer withdraws an expiration that nobody has read; its readiness, which may be
        /// left, is cleared by the failing read.
        pub(super) async fn sleep(&self, pause: Duration) -> io::Result<()> {
            let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
            let once = Itimerspec {
                it_interval: zero,
                // Zero would stop the timer.
                it_value: Timespec {
                    tv_nsec: pause.subsec_nanos().max(1).into(),
                    ..zero
                },
            };
            timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &once)?;
            let mut expirations = [0; size_of::<u64>()];
            self.0
                .async_io(Interest::READABLE, |file| Ok(rustix::io::read(file, &mut expirations)?))
                .await?;
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    /// The shortest of several sleeps: the machine may be busy during any one of them.
    async fn shortest(timer: &Timer, pause: Duration) -> Duration {
        let mut shortest = Duration::MAX;
        for _ in 0..50 {
            let started = Instant::now();
            timer.sleep(pause).await;
            shortest = shortest.min(started.elapsed());
        }
        shortest
    }

    #[tokio::test]
    #[cfg_attr(not(target_os = "linux"), ignore = "elsewhere a pause is a whole millisecond")]
    async fn a_pause_of_a_fraction_of_a_millisecond_is_not_rounded_up() {
        let timer = Timer::new();
        for micros in [1, 200, 600] {
            let pause = Duration::from_micros(micros);
            let took = shortest(&timer, pause).await;
            assert!(pause <= took && took < TICK, "{took:?} instead of {pause:?}");
        }
    }

    #[tokio::test]
    async fn a_pause_of_nothing_and_a_long_one_end() {
        let timer = Timer::new();
        timer.sleep(Duration::ZERO).await;
        timer.sleep(TICK * 2).await;
    }

    #[tokio::test]
    async fn a_sleep_that_was_dropped_does_not_shorten_the_next() {
        let timer = Timer::new();
        for _ in 0..20 {
            let dropped = timer.sleep(Duration::from_micros(50));
            tokio::select! {
                biased;
                () = dropped => {}
                () = std::future::ready(()) => {}
            }
            // It expires meanwhile.
            std::thread::sleep(Duration::from_micros(200));
            let started = Instant::now();
            timer.sleep(Duration::from_micros(700)).await;
            assert!(started.elapsed() >= Duration::from_micros(700), "{:?}", started.elapsed());
        }
    }
}
