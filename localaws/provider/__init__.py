"""The `aws` provider of local stacks: the real lifecycle of the few types that this project declares.

It speaks to whatever `AWS_ENDPOINT_URL` names and refuses to run without one: on a real account the
official plugin is used and this one never starts.

```
main.py       the process: gRPC, configuration, the end with its parent
servicer.py   the engine's calls, translated
lifecycle.py  what each call means, whatever the type
schema.py     fields of a type, what is wrong with an input, what differs
values.py     the engine's wire values: secrets and unknowns
cloud.py      clients, account, tags
types/        one class for each type, one file for each AWS service
invokes.py    functions
```
A new type is one class in `types/` and one line in `types/__init__.py`.
"""
