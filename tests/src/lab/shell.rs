//! A shell on a machine of the lab, on a terminal, as a person has it.

use crate::{Terminal, wait};

/// A shell on a terminal, and what a person sees there.
pub struct Shell {
    pub(super) terminal: Terminal,
    pub(super) prompt: String,
}

impl Shell {
    /// Types a command, and waits until it has ended.
    ///
    /// # Panics
    /// When it does not.
    pub fn types(&mut self, command: &str) {
        self.asks(command, &[]);
    }

    /// Types a command, and an answer after each of these questions; waits until it has ended.
    ///
    /// # Panics
    /// When a question does not come, or it does not end.
    pub fn asks(&mut self, command: &str, answers: &[(&str, &str)]) {
        let prompts = self.prompts();
        self.terminal.types(&format!("{command}\n"));
        for (question, answer) in answers {
            self.terminal.shows(question);
            self.terminal.types(&format!("{answer}\n"));
        }
        self.until_prompts(prompts + 1);
    }

    /// Does that; the lines that it said, questions and all.
    ///
    /// # Panics
    /// As [`Self::asks`].
    pub fn says(&mut self, command: &str, answers: &[(&str, &str)]) -> Vec<String> {
        let before = self.text().lines().count();
        self.asks(command, answers);
        // The line with the command is the first one.
        self.text().lines().skip(before + 1).map(str::to_owned).collect()
    }

    /// All that is on the screen, without the prompt at its end.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn text(&self) -> String {
        let text = self.terminal.text();
        let text = text.strip_suffix(&self.prompt).expect("a prompt");
        text.to_owned()
    }

    fn prompts(&self) -> usize {
        let text = self.terminal.text();
        text.lines().filter(|line| line.starts_with(&self.prompt)).count()
    }

    pub(super) fn until_prompts(&self, count: usize) {
        let came = wait::often(wait::SOON * 2, || {
            let ready = self.prompts() == count && self.terminal.text().ends_with(&self.prompt);
            ready.then_some(())
        });
        assert!(came.is_some(), "no prompt:\n{}", self.terminal.text());
    }
}
