"""libplasm in this process, for tests that measure a job from its caller's side."""

import ctypes
import json
import os


class Error(Exception):
    """What libplasm says of a call that failed."""


class Library:
    def __init__(self, build):
        self.c = ctypes.CDLL(os.path.join(build, "lib", "libplasm.so"))
        self.c.plasm_last_error.restype = ctypes.c_char_p
        for name in ("plasm_client_free", "plasm_job_free"):
            getattr(self.c, name).restype = None

    def check(self, error):
        if error < 0:
            raise Error(self.c.plasm_last_error().decode(errors="replace"))
        return error


class Client:
    def __init__(self, library, node, **options):
        self.library = library
        self.node = node
        self.handle = ctypes.c_void_p()
        options.setdefault("state_dir", "")
        library.check(library.c.plasm_client_new(json.dumps(options).encode(),
                                                 ctypes.byref(self.handle)))

    def close(self):
        self.library.c.plasm_client_free(self.handle)
        self.handle = None

    def submit(self, module, *arguments, limits=None, stdin=b"", **request):
        """Returns when the job is accepted."""
        request.update(node=self.node, args=["module", *arguments])
        if limits:
            request["limits"] = limits
        job = ctypes.c_void_p()
        self.library.check(self.library.c.plasm_submit(
            self.handle, json.dumps(request).encode(), module, ctypes.c_size_t(len(module)), stdin,
            ctypes.c_size_t(len(stdin)), ctypes.byref(job)))
        return Job(self.library, job)

    def run(self, module, *arguments, **options):
        job = self.submit(module, *arguments, **options)
        try:
            return job.result()
        finally:
            job.free()


class Job:
    def __init__(self, library, handle):
        self.library = library
        self.handle = handle

    def read(self, timeout_ms=-1):
        """One piece of output, None at the end."""
        stream = ctypes.c_int()
        data = ctypes.c_void_p()
        size = ctypes.c_size_t()
        if self.library.check(self.library.c.plasm_job_read(
                self.handle, timeout_ms, ctypes.byref(stream), ctypes.byref(data),
                ctypes.byref(size))) == 0:
            return None
        return ctypes.string_at(data, size.value)

    def cancel(self):
        self.library.check(self.library.c.plasm_job_cancel(self.handle))

    def result(self):
        """The result whose receipt holds, as the library gives it."""
        text = ctypes.c_char_p()
        self.library.check(self.library.c.plasm_job_result(self.handle, ctypes.byref(text)))
        return json.loads(text.value)

    def free(self):
        self.library.c.plasm_job_free(self.handle)
        self.handle = None
