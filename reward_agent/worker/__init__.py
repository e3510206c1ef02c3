"""The child process: one module a job's kind, each with ``run(job, job_dir)``.

The only code that loads generated programs.
"""
