//! The first hour with the product, typed on real terminals of machines of their own. What is then on the screens is
//! `tests/first_hour.golden`, line by line; that file is the promise, and its figures are invented.

use std::fs;

use crate::{
    data,
    lab::{Lab, Machine, Shell},
    normal, transcript, wait,
};

/// What is promised.
pub const GOLDEN: &str = include_str!("../tests/first_hour.golden");

/// As wide as the golden file's, so that the columns are.
const SIZE: u64 = 120 << 20;

/// The service runs, and ana may use it.
fn installed(machine: &Machine) {
    machine.runs(
        "admin",
        "sudo apt install ./p2pd_0.1.0_amd64.deb && sudo usermod -aG p2pd ana",
    );
}

/// That, and ana is logged in.
fn logged_in(machine: &Machine, password: &str) {
    installed(machine);
    fs::write(machine.path("/home/ana/password"), password).expect("a file");
    machine.runs(
        "ana",
        "p2pctl login --directory dir.lab --trust-on-first-use --password-file password",
    );
}

fn password_in(text: &str) -> String {
    let (_, rest) = text.split_once("shown once: ").expect("a password");
    rest.split_whitespace().next().expect("a password").to_owned()
}

/// A peer that runs and pings, and whose port lets no answer out, so that whoever dials it waits in vain; and gpu3 has
/// dialled it.
fn port_that_times_out(lab: &Lab, password: &str) {
    let (gpu7, gpu3) = (lab.machine("gpu7"), lab.machine("gpu3"));
    gpu7.network("ip rule add ipproto 6 sport 7401 blackhole");
    logged_in(gpu7, password);
    gpu7.runs("ana", "echo old | p2pctl upload - --name old.log");
    let mut fetch = gpu3
        .command("ana", "p2pctl fetch old.log --wait")
        .spawn()
        .expect("p2pctl");
    wait::until("a peer that times out to be told", wait::SOON, || {
        let status = gpu3.runs("ana", "p2pctl status");
        status.contains("gpu7: port 7401 timed out").then_some(())
    });
    gpu3.runs(
        "ana",
        "p2pctl cancel \"$(p2pctl transfers --json | grep -o '\"id\":\"[0-9]*' | grep -o '[0-9]*')\"",
    );
    let _ = fetch.wait();
}

/// What is on a screen, but for what apt says of its own work.
fn own_lines(shell: &Shell) -> String {
    let text = shell.text();
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    transcript::without_apt(&lines).join("\n") + "\n"
}

/// Types it on machines `dir`, `ws1`, `gpu1`, `gpu3` and `gpu7` that have nothing yet.
///
/// # Panics
/// When something else is on a screen than is promised.
pub fn plays(lab: &Lab) {
    let mut screens = Vec::new();

    let mut admin = lab.machine("dir").shell("admin");
    admin.types("sudo apt install ./p2p-directory_0.1.0_amd64.deb");
    admin.types("sudo p2p-directory admin user add ana");
    let password = password_in(&admin.text());
    screens.push(own_lines(&admin));

    let ws1 = lab.machine("ws1");
    let mut admin = ws1.shell("admin");
    admin.types("sudo apt install ./p2pd_0.1.0_amd64.deb");
    screens.push(own_lines(&admin));
    // As it was told to.
    ws1.runs("admin", "sudo usermod -aG p2pd ana");

    let hash = data::file(&ws1.path("/home/ana/scan.tar"), 1, SIZE);
    logged_in(lab.machine("gpu1"), &password);
    let mut ana = ws1.shell("ana");
    let answers = [("[y/N]", "y"), ("Password:", &password)];
    ana.asks("p2pctl login --directory dir.lab", &answers);
    ana.types("p2pctl upload scan.tar --copies 2");
    screens.push(ana.text());

    let gpu3 = lab.machine("gpu3");
    logged_in(gpu3, &password);
    port_that_times_out(lab, &password);
    let mut ana = gpu3.shell("ana");
    ana.types("p2pctl search scan");
    ana.types("p2pctl download scan.tar -o /data/");
    ana.types("p2pctl status");
    ana.types("p2pctl download nope; echo $?");
    screens.push(ana.text());

    normal::same(&screens.concat(), GOLDEN);
    assert_eq!(data::hash_of(&gpu3.path("/data/scan.tar")), hash);
}
