//! Notifications to systemd, if it has started this process: <https://www.freedesktop.org/software/systemd/man/sd_notify.html>.

use sd_notify::NotifyState;
use tokio::sync::watch;

use crate::relay::Role;

/// Notifies that the relay is ready once it leads or stands by, and of its role whenever that changes; feeds the watchdog meanwhile.
///
/// The watchdog is fed through outages too, which a restart would not end: it is there for a process that hangs.
pub(super) async fn report(mut roles: watch::Receiver<Role>) {
    let watchdog = sd_notify::watchdog_enabled();
    let mut is_ready = false;
    loop {
        let role = *roles.borrow_and_update();
        if role.is_settled() && !is_ready {
            is_ready = true;
            notify(&[NotifyState::Ready]);
        }
        notify(&[NotifyState::Status(role.name())]);
        loop {
            let fed = async {
                match watchdog {
                    Some(limit) => tokio::time::sleep(limit / 2).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = roles.changed() => match changed {
                    Ok(()) => break,
                    Err(_) => return,
                },
                () = fed => notify(&[NotifyState::Watchdog]),
            }
        }
    }
}

/// Notifies that the process is stopping.
pub(super) fn stopping() {
    notify(&[NotifyState::Stopping]);
}

fn notify(states: &[NotifyState<'_>]) {
    // Without systemd there is nobody to notify, which is no failure.
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd could not be notified");
    }
}
