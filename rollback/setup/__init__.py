"""Setting up: the settings of a new environment, its catalogue, adopted resources, logins, and the engine."""

from rollback.rooms import Room

ROOM = Room(
    verbs={
        "rollback": {
            "adopt": (
                "setup.adoption.verbs:adopt",
                "List declared resources that already exist, and how to import them into the stack; changes nothing.",
            ),
            "init": (
                "setup.init_verbs:init",
                "Write the settings of a new environment from the functions of an AWS account.",
            ),
            "login": (
                "setup.login.verbs:login",
                "Assume a role with MFA, and keep its credentials on this machine until they expire.",
            ),
            "logout": ("setup.login.verbs:logout", "Remove the credentials that login stored."),
            "credentials": (
                "setup.login.verbs:credentials",
                "Print the credentials of a login, for credential_process of an AWS profile.",
            ),
        },
        "catalogue": {
            "sync": (
                "setup.catalogue.verbs:sync",
                "Add new functions to the settings, and remove those that no longer exist.",
            ),
        },
        "foundation": {
            "split": (
                "setup.adoption.foundation_verbs:split",
                "Remove from the stack's state the resources that the foundation's stack has now; changes nothing in the account.",
            ),
        },
        "tools": {
            "install": (
                "setup.tools_verbs:install",
                "Install the Pulumi engine with Pulumi's official installer, for this command only.",
            ),
        },
    },
    groups={
        "catalogue": "The functions that an environment's settings list.",
        "foundation": "What an administrator declares, in a separate stack.",
        "tools": "The programs that this command drives.",
    },
)
