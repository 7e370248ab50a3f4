"""What pyproject.toml cannot say: the folder `components/` of the repository is a package of the command's.

Beside everything in `rollback/` the wheel has it as `rollback.components`, and nothing else at the top.
"""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["rollback", "rollback.*"]), "rollback.components"],
    package_dir={"rollback.components": "components"},
)
