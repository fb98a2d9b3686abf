//! `hears SOCKET TYPE`: prints what this user may hear of what has happened at a daemon, one line each with type and message,
//! up to the first event of this type. For tests that play another user of the machine.

use std::path::Path;

use p2p_tests::control::Control;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [socket, last] = &args[..] else {
        panic!("hears SOCKET TYPE");
    };
    let control = Control::at(Path::new(socket));
    // An id that nobody gave: from the oldest event on.
    for event in control.watch("0").until(last) {
        println!("{} {}", event.r#type, event.message);
    }
}
