/*
 * A job from C++: what the library returns is owned by smart pointers, and errors are exceptions.
 *
 *     submit IMAGE
 */
#include <drmaa2.h>

#include <cstring>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>

namespace {

/* Frees a handle with the function that DRMAA2 has for it. */
template <auto Free>
struct Freed {
    template <typename T>
    void operator()(T *handle) const { Free(&handle); }
};

template <auto Free, typename T>
using Owned = std::unique_ptr<T, Freed<Free>>;

using Job = Owned<drmaa2_j_free, drmaa2_j_s>;
using Info = Owned<drmaa2_jinfo_free, drmaa2_jinfo_s>;
using Template = Owned<drmaa2_jtemplate_free, drmaa2_jtemplate_s>;
using Text = Owned<drmaa2_string_free, char>;

[[noreturn]] void fail(const std::string &what)
{
    const Text text{drmaa2_lasterror_text()};
    throw std::runtime_error(what + ": " + (text ? text.get() : "no text"));
}

/* A result that must not be NULL. */
template <typename T>
T *check(const char *what, T *result)
{
    return result != nullptr ? result : (fail(what), nullptr);
}

void check(const char *what, drmaa2_error error)
{
    if (error != DRMAA2_SUCCESS)
        fail(what);
}

/* A session that leaves nothing behind. */
class Session {
public:
    Session() : handle_{check("create session", drmaa2_create_jsession(nullptr, nullptr))} {}
    Session(const Session &) = delete;
    Session &operator=(const Session &) = delete;

    ~Session()
    {
        const Text name{drmaa2_jsession_get_session_name(handle_)};
        drmaa2_close_jsession(handle_);
        drmaa2_jsession_free(&handle_);
        drmaa2_destroy_jsession(name.get());
    }

    Job run(const Template &jt) { return Job{check("run job", drmaa2_jsession_run_job(handle_, jt.get()))}; }

private:
    drmaa2_jsession handle_;
};

Template command(const char *image, std::initializer_list<const char *> words)
{
    Template jt{check("create template", drmaa2_jtemplate_create())};
    jt->jobCategory = strdup(image);
    jt->args = drmaa2_list_create(DRMAA2_STRINGLIST, drmaa2_string_list_default_callback);
    for (const char *word : words) {
        if (jt->remoteCommand == nullptr)
            jt->remoteCommand = strdup(word);
        else
            check("add argument", drmaa2_list_add(jt->args, strdup(word)));
    }
    return jt;
}

int run(const char *image)
{
    Session session;
    const Job job = session.run(command(image, {"/bin/sh", "-c", "exit 7"}));
    check("wait", drmaa2_j_wait_terminated(job.get(), DRMAA2_INFINITE_TIME));
    const Info info{check("get info", drmaa2_j_get_info(job.get()))};
    std::cout << info->jobId << " has ended with exit status " << info->exitStatus << "\n";
    return info->exitStatus;
}

} // namespace

int main(int argc, char **argv)
{
    if (argc < 2) {
        std::cerr << "usage: " << argv[0] << " IMAGE\n";
        return 2;
    }
    try {
        return run(argv[1]) == 7 ? 0 : 1;
    } catch (const std::exception &error) {
        std::cerr << error.what() << "\n";
        return 1;
    }
}
