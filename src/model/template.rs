//! The job template (GFD.231, JobTemplate): the request of a user, and its validity.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Error, ErrorCode, Result, Text};

/// The value that Grid Engine's bindings write into `priority` for "none".
pub const PRIORITY_UNSET_AGE: i64 = -99_999;

/// The request of a user. `None` is UNSET; an empty string or collection counts as UNSET too, but is
/// kept, so that the template read back equals the submitted one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct JobTemplate {
    pub remote_command: Option<Text>,
    pub args: Option<Vec<Text>>,
    pub submit_as_hold: bool,
    pub rerunnable: bool,
    /// In the order in which the variables were set.
    pub job_environment: Option<Vec<(Text, Text)>>,
    pub working_directory: Option<Text>,
    pub job_category: Option<Text>,
    pub email: Option<Vec<Text>>,
    pub email_on_started: bool,
    pub email_on_terminated: bool,
    pub job_name: Option<Text>,
    pub input_path: Option<Text>,
    pub output_path: Option<Text>,
    pub error_path: Option<Text>,
    pub join_files: bool,
    pub reservation_id: Option<Text>,
    pub queue_name: Option<Text>,
    pub min_slots: Option<i64>,
    pub max_slots: Option<i64>,
    pub priority: Option<i64>,
    pub candidate_machines: Option<Vec<Text>>,
    /// Kilobytes.
    pub min_phys_memory: Option<i64>,
    /// A number of the C enum `drmaa2_os`.
    pub machine_os: Option<i32>,
    /// A number of the C enum `drmaa2_cpu`.
    pub machine_arch: Option<i32>,
    /// A `time_t`, special values included.
    pub start_time: Option<i64>,
    /// A `time_t`, special values included.
    pub deadline_time: Option<i64>,
    pub stage_in_files: Option<Vec<(Text, Text)>>,
    pub stage_out_files: Option<Vec<(Text, Text)>>,
    pub resource_limits: Option<Vec<(Text, Text)>>,
    pub accounting_id: Option<Text>,
    /// Implementation-specific attributes by name.
    pub extensions: BTreeMap<String, Text>,
    /// Attributes from the category, for those that `extensions` lacks, as configured when the job was
    /// submitted. The template that the user reads back does not show them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub defaults: BTreeMap<String, Text>,
}

/// The placeholders that a path of a template may hold (GFD.231, JobTemplate).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placeholder {
    /// The home directory of the job's user.
    HomeDir,
    /// The job's working directory.
    WorkingDir,
    /// The index of the array task.
    Index,
}

impl Placeholder {
    /// The text of the placeholder.
    pub const fn text(self) -> &'static str {
        match self {
            Self::HomeDir => "$DRMAA2_HOME_DIR$",
            Self::WorkingDir => "$DRMAA2_WORKING_DIR$",
            Self::Index => "$DRMAA2_INDEX$",
        }
    }
}

/// The kind of submission of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Submission {
    /// One job.
    Single,
    /// The tasks of a job array.
    Array,
}

/// A text of the template of a job array, for one of its tasks.
pub fn with_index(text: &Text, index: i64) -> Text {
    text.replace(Placeholder::Index.text(), index.to_string().as_bytes())
}

/// The value, unless it is unset or empty.
pub(super) fn some(text: Option<&Text>) -> Option<&Text> {
    text.filter(|text| !text.is_empty())
}

/// Returns whether there is anything in it.
pub(super) fn any<T>(items: Option<&Vec<T>>) -> bool {
    items.is_some_and(|items| !items.is_empty())
}

impl JobTemplate {
    /// The DRMAA2 names of all attributes that are set; one that a C caller left empty or FALSE is not.
    pub fn set_attributes(&self) -> Vec<&str> {
        let table = [
            ("remoteCommand", some(self.remote_command.as_ref()).is_some()),
            ("args", any(self.args.as_ref())),
            ("submitAsHold", self.submit_as_hold),
            ("rerunnable", self.rerunnable),
            ("jobEnvironment", any(self.job_environment.as_ref())),
            ("workingDirectory", some(self.working_directory.as_ref()).is_some()),
            ("jobCategory", some(self.job_category.as_ref()).is_some()),
            ("email", any(self.email.as_ref())),
            ("emailOnStarted", self.email_on_started),
            ("emailOnTerminated", self.email_on_terminated),
            ("jobName", some(self.job_name.as_ref()).is_some()),
            ("inputPath", some(self.input_path.as_ref()).is_some()),
            ("outputPath", some(self.output_path.as_ref()).is_some()),
            ("errorPath", some(self.error_path.as_ref()).is_some()),
            ("joinFiles", self.join_files),
            ("reservationId", some(self.reservation_id.as_ref()).is_some()),
            ("queueName", some(self.queue_name.as_ref()).is_some()),
            ("minSlots", self.min_slots.is_some()),
            ("maxSlots", self.max_slots.is_some()),
            ("priority", self.priority.is_some()),
            ("candidateMachines", any(self.candidate_machines.as_ref())),
            ("minPhysMemory", self.min_phys_memory.is_some()),
            ("machineOS", self.machine_os.is_some()),
            ("machineArch", self.machine_arch.is_some()),
            ("startTime", self.start_time.is_some()),
            ("deadlineTime", self.deadline_time.is_some()),
            ("stageInFiles", any(self.stage_in_files.as_ref())),
            ("stageOutFiles", any(self.stage_out_files.as_ref())),
            ("resourceLimits", any(self.resource_limits.as_ref())),
            ("accountingId", some(self.accounting_id.as_ref()).is_some()),
        ];
        let extensions =
            self.extensions.iter().chain(&self.defaults).filter(|(_, value)| !value.is_empty());
        table
            .into_iter()
            .filter_map(|(name, set)| set.then_some(name))
            .chain(extensions.map(|(name, _)| name.as_str()))
            .collect()
    }

    /// Refuse attributes that `supported` does not list, then values that no runtime can accept.
    pub fn check(&self, supported: &[&str], submission: Submission) -> Result<()> {
        if let Some(name) = self.set_attributes().into_iter().find(|name| !supported.contains(name)) {
            let text = |texts: &Option<Vec<Text>>| texts.as_ref().and_then(|all| all.first()).cloned();
            let value = match name {
                "email" => text(&self.email),
                _ => self.extensions.get(name).or(self.defaults.get(name)).cloned(),
            };
            let value = value.map_or_else(String::new, |value| format!(" (\"{value}\")"));
            return Err(Error::new(
                ErrorCode::UnsupportedAttribute,
                format!("job template attribute {name}{value} is not supported"),
            ));
        }
        self.extensions()?;
        check_working_directory(some(self.working_directory.as_ref()), submission)?;
        for (attribute, path) in self.stdio_paths() {
            check_stdio_path(attribute, path, submission)?;
        }
        self.check_staging(submission)?;
        self.check_demands()?;
        self.check_email()?;
        for (name, _) in self.job_environment.iter().flatten() {
            if name.is_empty() || name.as_bytes().contains(&b'=') {
                return Err(Error::argument(format!(
                    "jobEnvironment: \"{name}\" is no name of an environment variable"
                )));
            }
        }
        for (attribute, text) in [
            ("jobName", &self.job_name),
            ("jobCategory", &self.job_category),
            ("accountingId", &self.accounting_id),
        ] {
            if let Some(text) =
                text.as_ref().filter(|text| std::str::from_utf8(text.as_bytes()).is_err())
            {
                return Err(Error::argument(format!("{attribute} \"{text}\" is not UTF-8")));
            }
        }
        Ok(())
    }

    fn check_email(&self) -> Result<()> {
        for address in self.email.iter().flatten() {
            let text = std::str::from_utf8(address.as_bytes()).unwrap_or_default();
            let odd = |char: char| char.is_control() || char.is_whitespace() || char == ',';
            if text.is_empty() || text.starts_with('-') || text.contains(odd) {
                return Err(Error::argument(format!("email \"{address}\" is no address")));
            }
        }
        if (self.email_on_started || self.email_on_terminated) && !any(self.email.as_ref()) {
            let attribute = if self.email_on_started { "emailOnStarted" } else { "emailOnTerminated" };
            return Err(Error::argument(format!("{attribute} is set, but email names nobody")));
        }
        Ok(())
    }

    /// Returns whether it restricts the machine on which the job may run.
    pub fn asks_for_machine(&self) -> bool {
        any(self.candidate_machines.as_ref()) || self.machine_os.is_some() || self.machine_arch.is_some()
    }

    /// The paths of the standard streams that are set, by attribute name. With `joinFiles`,
    /// `errorPath` is ignored.
    pub fn stdio_paths(&self) -> Vec<(&'static str, &Text)> {
        let error = if self.join_files { None } else { self.error_path.as_ref() };
        [
            ("inputPath", self.input_path.as_ref()),
            ("outputPath", self.output_path.as_ref()),
            ("errorPath", error),
        ]
        .into_iter()
        .filter_map(|(name, path)| Some((name, some(path)?)))
        .collect()
    }

    /// A host path of this template with its placeholders filled in, except for the index, which
    /// [`with_index`] fills in later. A path with the working directory's placeholder requires that
    /// attribute to be set.
    pub fn expand_path(&self, attribute: &str, path: &Text, home: &Text) -> Result<Text> {
        let join = |start: &Text, rest: Text| {
            let mut bytes = start.as_bytes().to_vec();
            bytes.extend_from_slice(rest.as_bytes());
            Text::from(bytes)
        };
        if let Some(rest) = path.strip_prefix(Placeholder::HomeDir.text()) {
            return Ok(join(home, rest));
        }
        let Some(rest) = path.strip_prefix(Placeholder::WorkingDir.text()) else {
            return Ok(path.clone());
        };
        match some(self.working_directory.as_ref()) {
            None => Err(Error::argument(format!(
                "{attribute} \"{path}\" starts at the working directory, but workingDirectory is not set"
            ))),
            Some(directory) => {
                let directory = directory
                    .strip_prefix(Placeholder::HomeDir.text())
                    .map_or_else(|| directory.clone(), |below| join(home, below));
                Ok(join(&directory, rest))
            }
        }
    }
}

fn check_working_directory(path: Option<&Text>, submission: Submission) -> Result<()> {
    let Some(path) = path else { return Ok(()) };
    let rest = path.strip_prefix(Placeholder::HomeDir.text());
    if path.contains(Placeholder::WorkingDir.text()) {
        return Err(Error::argument(format!(
            "workingDirectory \"{path}\" holds {}, which would stand for itself",
            Placeholder::WorkingDir.text()
        )));
    }
    check_rest("workingDirectory", path, rest, submission)
}

fn check_stdio_path(attribute: &str, path: &Text, submission: Submission) -> Result<()> {
    let rest = [Placeholder::HomeDir, Placeholder::WorkingDir]
        .into_iter()
        .find_map(|placeholder| path.strip_prefix(placeholder.text()));
    check_rest(attribute, path, rest, submission)
}

/// The rest after a leading placeholder, or the whole of an absolute path, may hold no placeholder but
/// the index of an array task.
pub(super) fn check_rest(
    attribute: &str,
    path: &Text,
    after_placeholder: Option<Text>,
    submission: Submission,
) -> Result<()> {
    let rest = match after_placeholder {
        Some(rest) if rest.is_empty() || rest.as_bytes().starts_with(b"/") => rest,
        Some(_) => {
            return Err(Error::argument(format!(
                "{attribute} \"{path}\": a placeholder is followed by \"/\" or nothing"
            )));
        }
        None if path.as_bytes().starts_with(b"/") => path.clone(),
        None => {
            return Err(Error::argument(format!("{attribute} \"{path}\" is not an absolute path")));
        }
    };
    for placeholder in [Placeholder::HomeDir, Placeholder::WorkingDir] {
        if rest.contains(placeholder.text()) {
            return Err(Error::argument(format!(
                "{attribute} \"{path}\": {} is allowed only at the start",
                placeholder.text()
            )));
        }
    }
    if submission == Submission::Single && rest.contains(Placeholder::Index.text()) {
        return Err(Error::argument(format!(
            "{attribute} \"{path}\": {} is allowed only in job arrays",
            Placeholder::Index.text()
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: &[&str] = &[
        "remoteCommand",
        "args",
        "jobEnvironment",
        "workingDirectory",
        "jobCategory",
        "jobName",
        "inputPath",
        "outputPath",
        "errorPath",
        "joinFiles",
    ];

    fn code(template: &JobTemplate) -> Option<ErrorCode> {
        template.check(ALL, Submission::Single).err().map(|error| error.code)
    }

    #[test]
    fn empty_values_are_not_set() {
        let template = JobTemplate {
            remote_command: Some("".into()),
            args: Some(vec![]),
            email: Some(vec![]),
            candidate_machines: Some(vec![]),
            resource_limits: Some(vec![]),
            queue_name: Some("".into()),
            extensions: [("containerd_jt_user".to_owned(), Text::from(""))].into(),
            ..JobTemplate::default()
        };
        assert_eq!(template.set_attributes(), Vec::<&str>::new());
        assert_eq!(code(&template), None);
    }

    #[test]
    fn an_unsupported_attribute_is_refused_by_name() {
        let template = JobTemplate { min_slots: Some(1), ..JobTemplate::default() };
        let error = template.check(ALL, Submission::Single).unwrap_err();
        assert_eq!(error.code, ErrorCode::UnsupportedAttribute);
        assert!(error.message.contains("minSlots"), "{error}");
    }

    #[test]
    fn paths_are_absolute_with_placeholders_in_front() {
        let with_output =
            |path: &str| JobTemplate { output_path: Some(path.into()), ..JobTemplate::default() };
        for good in ["/a", "$DRMAA2_HOME_DIR$/a", "$DRMAA2_WORKING_DIR$/a", "$DRMAA2_HOME_DIR$"] {
            assert_eq!(code(&with_output(good)), None, "{good}");
        }
        for bad in
            ["a", "./a", "$DRMAA2_HOME_DIR$a", "/a/$DRMAA2_HOME_DIR$", "/a.$DRMAA2_INDEX$", "host:/a"]
        {
            assert_eq!(code(&with_output(bad)), Some(ErrorCode::InvalidArgument), "{bad}");
        }
        let joined = JobTemplate {
            join_files: true,
            error_path: Some("ignored".into()),
            ..JobTemplate::default()
        };
        assert_eq!(code(&joined), None);
    }

    #[test]
    fn the_index_may_stand_anywhere_in_the_paths_of_a_job_array() {
        let path = |path: &str| Some(Text::from(path));
        let arrays = [
            JobTemplate {
                output_path: path("/$DRMAA2_INDEX$/$DRMAA2_INDEX$"),
                ..JobTemplate::default()
            },
            JobTemplate {
                input_path: path("$DRMAA2_HOME_DIR$/a$DRMAA2_INDEX$"),
                ..JobTemplate::default()
            },
            JobTemplate {
                error_path: path("$DRMAA2_WORKING_DIR$/$DRMAA2_INDEX$"),
                ..JobTemplate::default()
            },
            JobTemplate { working_directory: path("/w/$DRMAA2_INDEX$.d"), ..JobTemplate::default() },
        ];
        for template in arrays {
            assert_eq!(template.check(ALL, Submission::Array), Ok(()), "{template:?}");
            assert_eq!(code(&template), Some(ErrorCode::InvalidArgument), "{template:?}");
        }
        for bad in
            ["$DRMAA2_INDEX$", "$DRMAA2_HOME_DIR$$DRMAA2_INDEX$", "/$DRMAA2_INDEX$/$DRMAA2_HOME_DIR$"]
        {
            let template = JobTemplate { output_path: path(bad), ..JobTemplate::default() };
            let error = template.check(ALL, Submission::Array).unwrap_err();
            assert_eq!(error.code, ErrorCode::InvalidArgument, "{bad}");
        }
    }

    #[test]
    fn a_mail_needs_an_address_that_is_none_of_an_option() {
        let template = |address: &str| JobTemplate {
            email: Some(vec!["a@example.org".into(), address.into()]),
            email_on_started: true,
            ..JobTemplate::default()
        };
        for good in ["root", "user@example.org", "ü@example.org"] {
            assert_eq!(template(good).check_email(), Ok(()), "{good}");
        }
        for bad in ["", "-oQ/tmp", "a@b\nBcc: c@d", "a b@c", "a@b,c@d", "a\u{7f}"] {
            let error = template(bad).check_email().unwrap_err();
            assert_eq!(error.code, ErrorCode::InvalidArgument, "{bad}");
        }
        let nobody = JobTemplate { email_on_terminated: true, ..JobTemplate::default() };
        assert!(nobody.check_email().unwrap_err().message.contains("emailOnTerminated"));
    }

    #[test]
    fn the_working_directory_cannot_stand_for_itself() {
        let template = JobTemplate {
            working_directory: Some("$DRMAA2_WORKING_DIR$/x".into()),
            ..JobTemplate::default()
        };
        assert_eq!(code(&template), Some(ErrorCode::InvalidArgument));
    }

    #[test]
    fn placeholders_are_filled_in() {
        let home = Text::from("/home/u");
        let template = JobTemplate {
            working_directory: Some("$DRMAA2_HOME_DIR$/run".into()),
            ..JobTemplate::default()
        };
        let expand = |path: &str| template.expand_path("outputPath", &path.into(), &home);
        assert_eq!(expand("/tmp/o").unwrap(), "/tmp/o".into());
        assert_eq!(expand("$DRMAA2_HOME_DIR$/o").unwrap(), "/home/u/o".into());
        assert_eq!(expand("$DRMAA2_WORKING_DIR$/o").unwrap(), "/home/u/run/o".into());
        let unset = JobTemplate::default();
        let error = unset.expand_path("outputPath", &"$DRMAA2_WORKING_DIR$/o".into(), &home);
        assert_eq!(error.unwrap_err().code, ErrorCode::InvalidArgument);
    }

    #[test]
    fn the_index_is_filled_in_wherever_it_stands() {
        let path = "$DRMAA2_HOME_DIR$/$DRMAA2_INDEX$/o.$DRMAA2_INDEX$".into();
        assert_eq!(with_index(&path, 12), "$DRMAA2_HOME_DIR$/12/o.12".into());
        assert_eq!(with_index(&"/o".into(), 12), "/o".into());
    }

    #[test]
    fn a_variable_needs_a_name() {
        for name in ["", "A=B"] {
            let template = JobTemplate {
                job_environment: Some(vec![(name.into(), "1".into())]),
                ..JobTemplate::default()
            };
            assert_eq!(code(&template), Some(ErrorCode::InvalidArgument), "{name}");
        }
    }

    #[test]
    fn storage_keeps_the_template_as_it_was() {
        let template = JobTemplate {
            remote_command: Some("/bin/true".into()),
            args: Some(vec![]),
            job_environment: Some(vec![("B".into(), "\u{1}".into()), ("A".into(), "".into())]),
            job_name: Some("".into()),
            ..JobTemplate::default()
        };
        let json = serde_json::to_string(&template).unwrap();
        assert_eq!(serde_json::from_str::<JobTemplate>(&json).unwrap(), template);
    }
}
