"""Who may do what: a row a deed, with the actions it takes, what it is done on, and the roles that may.

Every role that is not in a row may not. ARNs stand here as people know them and are not taken from the code that
makes the policies, so that a mistake there is not made here as well. In them `{env}`, `{account}` and
`{region}` are the environment's, `{fn}` is a function of its catalogue and `{stem}` is `bbws-access-{env}`.

A new grant needs a row, whoever may: a test says which grants no row speaks of.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

DEPLOYER, ROLLBACK, APPROVER, RESTORE = "deployer", "rollback", "approver", "restore"
DRILL, GLASS = "drill", "break-glass"
NOBODY = ""

LEDGER = "arn:aws:dynamodb:{region}:{account}:table/{stem}-ddb-deployments"
HISTORY = f"{LEDGER}/index/GSI1"
TABLE = "arn:aws:dynamodb:{region}:{account}:table/{stem}-ddb-access-management"
COPY = f"{TABLE}-restore-20261125T101500"
BACKUP = f"{TABLE}/backup/01700000000000-abcdef01"
OTHER_TABLE = "arn:aws:dynamodb:{region}:{account}:table/{stem}-ddb-sessions"
FUNCTION = "arn:aws:lambda:{region}:{account}:function:{fn}"
UNCATALOGUED = "arn:aws:lambda:{region}:{account}:function:{stem}-lambda-legacy-report"
LOOKALIKE = f"{FUNCTION}-2"
FOREIGN = "arn:aws:lambda:{region}:{account}:function:payments-{env}-lambda-charge"
PARAMETER = "arn:aws:ssm:{region}:{account}:parameter/bbws-access/{env}"
TABLE_PARAMETER = f"{PARAMETER}/table/{{stem}}-ddb-access-management"
TRAIL = "arn:aws:s3:::{stem}-audit-trail-{account}"
STATE = "arn:aws:s3:::{stem}-terraform-state"
FOUNDATION = "arn:aws:s3:::{stem}-foundation-state"
APIS = "arn:aws:apigateway:{region}::/restapis"
API_TAGS = (
    "arn:aws:apigateway:{region}::/tags/arn%3Aaws%3Aapigateway%3A{region}%3A%3A%2Frestapis%2Fa1b2c3d4e5"
)
# Of the stack's secrets, of a table, and of somebody else.
STATE_KEY, TABLE_KEY, OTHER_KEY = (
    f"arn:aws:kms:{{region}}:{{account}}:key/{{env}}-{of}" for of in ("state", "table", "payments")
)
DYNAMODB = "dynamodb.{region}.amazonaws.com"
ROLE = "arn:aws:iam::{account}:role/{stem}"
ALARM = "arn:aws:cloudwatch:{region}:{account}:alarm:{stem}-guard-team-service"
EVERYTHING = "*"


@dataclass(frozen=True, kw_only=True, slots=True)
class Deed:
    """`what` in words; the `actions`, each of which is asked for alone, on `on`, with condition `keys`.

    `shared` says that nothing in the request is an environment's own, so that a role of another environment
    may do it as well: accounts keep those apart. `never` says that the boundary does not let any role, whatever it
    is given. `drills` says that it is done only where there are drills.
    """

    what: str
    actions: tuple[str, ...]
    on: str
    may: frozenset[str]
    keys: tuple[tuple[str, str | tuple[str, ...]], ...] = ()
    shared: bool = False
    never: bool = False
    drills: bool = False

    def who(self, roles: Iterable[str]) -> set[str]:
        """Those of an environment's roles that may."""
        known = set(roles)
        return set() if self.drills and DRILL not in known else known & self.may


def _row(
    may: str,
    what: str,
    actions: str,
    on: str,
    *partitions: str,
    shared: bool = False,
    never: bool = False,
    drills: bool = False,
    **keys: str,
) -> Deed:
    """`actions` are `service:One Two`; `partitions` the partition keys that the request names."""
    service, _, names = actions.partition(":")
    verdict = {key.replace("__", ":").replace("_", "/"): value for key, value in keys.items()}
    return Deed(
        what=what,
        actions=tuple(f"{service}:{name}" for name in names.split()),
        on=on,
        may=frozenset(may.split()),
        keys=(*verdict.items(), *((("dynamodb:LeadingKeys", partitions),) if partitions else ())),
        shared=shared,
        never=never,
        drills=drills,
    )


def _never(what: str, actions: str, on: str, *partitions: str) -> Deed:
    """What nobody may, whatever policies say: not under the boundary."""
    return _row(NOBODY, what, actions, on, *partitions, never=True)


_D, _DR, _DS = DEPLOYER, f"{DEPLOYER} {ROLLBACK}", f"{DEPLOYER} {RESTORE}"
_DRA, _DRG = f"{_DR} {APPROVER}", f"{_DR} {GLASS}"

# fmt: off
LEDGER_DEEDS = (
    _row(_DRA, "read a record", "dynamodb:Query", LEDGER, "ROLLBACK#01J"),
    _row(_DR, "read a part of a record", "dynamodb:GetItem", LEDGER, "ROLLBACK#01J"),
    _row(NOBODY, "read records in batches", "dynamodb:BatchGetItem", LEDGER, "ROLLBACK#01J", "DEPLOYMENT#01J"),
    _row(_DR, "read a release", "dynamodb:GetItem Query", LEDGER, "DEPLOYMENT#01J"),
    _row(_DR, "read an approval", "dynamodb:GetItem Query", LEDGER, "APPROVAL#01J"),
    _row(_DR, "read who holds a lease", "dynamodb:GetItem Query", LEDGER, "LOCK#{env}"),
    _row(_DRG, "read the timeline", "dynamodb:GetItem Query", LEDGER, "RELEASE#{env}"),
    _row(_DR, "list the history", "dynamodb:Query", HISTORY, "ENV#{env}"),
    _row(_DRG, "check that the ledger exists", "dynamodb:DescribeTable", LEDGER),
    _row(_DR, "read how the ledger is protected", "dynamodb:DescribeContinuousBackups", LEDGER),
    _row(NOBODY, "read the ledger's other settings", "dynamodb:DescribeTimeToLive ListTagsOfResource", LEDGER),
    _row(NOBODY, "tag the ledger", "dynamodb:TagResource UntagResource", LEDGER),
    _row(_DR, "write a record", "dynamodb:PutItem UpdateItem ConditionCheckItem", LEDGER, "ROLLBACK#01J"),
    _row(_DR, "take a lease", "dynamodb:PutItem UpdateItem ConditionCheckItem", LEDGER, "LOCK#{env}"),
    _row(_DR, "write the timeline", "dynamodb:PutItem UpdateItem ConditionCheckItem", LEDGER, "RELEASE#{env}"),
    _row(_D, "record a release", "dynamodb:PutItem UpdateItem ConditionCheckItem", LEDGER, "DEPLOYMENT#01J"),
    _row(APPROVER, "approve", "dynamodb:PutItem", LEDGER, "APPROVAL#01J"),
    _row(NOBODY, "change an approval", "dynamodb:UpdateItem ConditionCheckItem", LEDGER, "APPROVAL#01J"),
    _never("delete an approval", "dynamodb:DeleteItem BatchWriteItem", LEDGER, "APPROVAL#01J"),
    _row(NOBODY, "approve under a record's key", "dynamodb:PutItem", LEDGER, "ROLLBACK#01J", "APPROVAL#01J"),
    _row(NOBODY, "write under an unknown key", "dynamodb:PutItem UpdateItem", LEDGER, "ELSE#01J"),
    _row(NOBODY, "write without a key", "dynamodb:PutItem UpdateItem ConditionCheckItem", LEDGER),
    _row(NOBODY, "read without a key", "dynamodb:GetItem Query BatchGetItem Scan", LEDGER),
    _row(NOBODY, "read the whole history", "dynamodb:Scan Query", HISTORY),
    _row(NOBODY, "read or write another environment's lease or timeline",
         "dynamodb:GetItem Query PutItem UpdateItem", LEDGER, "LOCK#other"),
    _row(NOBODY, "write another environment's timeline", "dynamodb:PutItem UpdateItem", LEDGER, "RELEASE#other"),
    *(_never(f"delete {of}", "dynamodb:DeleteItem BatchWriteItem", LEDGER, key)
      for of, key in (("a record", "ROLLBACK#01J"), ("a release", "DEPLOYMENT#01J"),
                      ("the timeline", "RELEASE#{env}"), ("a lease", "LOCK#{env}"))),
    _never("read or write the ledger with PartiQL",
         "dynamodb:PartiQLSelect PartiQLInsert PartiQLUpdate PartiQLDelete", LEDGER, "ROLLBACK#01J"),
    _never("delete the ledger, or change its protection", "dynamodb:DeleteTable UpdateTable UpdateTimeToLive PutResourcePolicy "
         "UpdateContinuousBackups RestoreTableToPointInTime ImportTable", LEDGER),
    _row(NOBODY, "copy or export the ledger", "dynamodb:CreateBackup ExportTableToPointInTime", LEDGER),
    _never("delete a backup of the ledger", "dynamodb:DeleteBackup RestoreTableFromBackup",
         f"{LEDGER}/backup/01700000000000-abcdef01"),
)

FUNCTION_DEEDS = (
    _row(_DRG, "read a function", "lambda:GetAlias GetFunction", FUNCTION),
    _row(_DRG, "read the alias of a function", "lambda:GetFunction GetProvisionedConcurrencyConfig", f"{FUNCTION}:live"),
    _row(_DRG, "read a function outside the catalogue", "lambda:GetAlias GetFunction", UNCATALOGUED),
    _row(_DR, "list the versions of a function", "lambda:ListVersionsByFunction", FUNCTION),
    _row(_DR, "list functions", "lambda:ListFunctions", EVERYTHING, shared=True),
    _row(_DRG, "move an alias", "lambda:UpdateAlias", FUNCTION),
    _row(_DRG, "invoke a function through the alias", "lambda:InvokeFunction", f"{FUNCTION}:live"),
    _row(_D, "deploy a function", "lambda:CreateAlias GetFunctionCodeSigningConfig GetFunctionConfiguration "
         "ListAliases PublishVersion UpdateFunctionCode", FUNCTION),
    _row(NOBODY, "move an alias outside the catalogue", "lambda:UpdateAlias UpdateFunctionCode PublishVersion "
         "CreateAlias", UNCATALOGUED),
    _row(NOBODY, "move an alias of a function whose name begins alike", "lambda:UpdateAlias UpdateFunctionCode",
         LOOKALIKE),
    _row(NOBODY, "read or change another team's function", "lambda:GetFunction GetAlias UpdateAlias UpdateFunctionCode",
         FOREIGN),
    _row(NOBODY, "invoke a function without the alias", "lambda:InvokeFunction", FUNCTION),
    _row(_DRG, "activate an inactive version", "lambda:InvokeFunction", f"{FUNCTION}:3"),
    _row(NOBODY, "wake a version outside the catalogue", "lambda:InvokeFunction", f"{UNCATALOGUED}:3"),
    _row(_D, "delete a version", "lambda:DeleteFunction", f"{FUNCTION}:3"),
    _row(_D, "read who may invoke a version", "lambda:GetPolicy", f"{FUNCTION}:3"),
    _row(_D, "read the event invoke configurations of a function", "lambda:ListFunctionEventInvokeConfigs", FUNCTION),
    _row(_DR, "list event source mappings", "lambda:ListEventSourceMappings", EVERYTHING, shared=True),
    _row(_DR, "read the URL of a function", "lambda:GetFunctionUrlConfig", FUNCTION),
    _row(NOBODY, "read the URL of another team's function", "lambda:GetFunctionUrlConfig", FOREIGN),
    _row(_DR, "list rules and their targets", "events:ListEventBuses ListRules ListTargetsByRule", EVERYTHING,
         shared=True),
    _row(_DR, "list schedules", "scheduler:ListSchedules", EVERYTHING, shared=True),
    _row(NOBODY, "read what a schedule sends", "scheduler:GetSchedule",
         "arn:aws:scheduler:{region}:{account}:schedule/default/nightly"),
    _row(NOBODY, "change rules and their targets", "events:PutRule PutTargets DisableRule",
         "arn:aws:events:{region}:{account}:rule/nightly"),
    _row(NOBODY, "put events on a bus that is not configured", "events:PutEvents",
         "arn:aws:events:{region}:{account}:event-bus/default"),
    _row(NOBODY, "read alarms where no alarm may take a standby",
         "cloudwatch:DescribeAlarms DescribeAlarmHistory", ALARM),
    _row(_D, "list which versions were invoked", "cloudwatch:ListMetrics", EVERYTHING, shared=True),
    _row(NOBODY, "read who may invoke a version outside the catalogue", "lambda:GetPolicy", f"{UNCATALOGUED}:3"),
    _row(NOBODY, "delete a version outside the catalogue", "lambda:DeleteFunction", f"{UNCATALOGUED}:3"),
    _never("delete a function", "lambda:DeleteFunction", FUNCTION),
    _never("delete a function outside the catalogue", "lambda:DeleteFunction", UNCATALOGUED),
    _row(NOBODY, "delete an alias", "lambda:DeleteAlias", FUNCTION),
    _row(DRILL, "change the configuration of a function", "lambda:UpdateFunctionConfiguration", FUNCTION),
    _row(NOBODY, "change the configuration of a function outside the catalogue", "lambda:UpdateFunctionConfiguration", UNCATALOGUED),
    _row(NOBODY, "create a function, or change who invokes it", "lambda:AddPermission "
         "PutFunctionConcurrency CreateFunctionUrlConfig CreateFunction PutFunctionEventInvokeConfig", FUNCTION),
)

PARAMETER_DEEDS = (
    *(_row(_DR, f"read and write {name}", "ssm:GetParameter PutParameter", f"{PARAMETER}/{name}")
      for name in ("deployed-version", "terraform-commit", "pulumi-commit")),
    _row(_DS, "read and write which table functions use", "ssm:GetParameter PutParameter", TABLE_PARAMETER),
    _row(_DR, "read the Slack secret", "ssm:GetParameter", f"{PARAMETER}/slack"),
    _row(NOBODY, "change the Slack secret", "ssm:PutParameter DeleteParameter", f"{PARAMETER}/slack"),
    _row(_D, "describe parameters", "ssm:DescribeParameters", EVERYTHING, shared=True),
    *(_row(_D, f"tag {name}", "ssm:AddTagsToResource ListTagsForResource RemoveTagsFromResource", on)
      for name, on in (("a parameter", f"{PARAMETER}/deployed-version"), ("a table's parameter", TABLE_PARAMETER))),
    _row(NOBODY, "delete a parameter", "ssm:DeleteParameter LabelParameterVersion", f"{PARAMETER}/deployed-version"),
    _row(NOBODY, "read another secret of the platform", "ssm:GetParameter PutParameter", f"{PARAMETER}/database-password"),
)

BUCKET_DEEDS = (
    _row(_DR, "archive a release", "s3:PutObject", f"{TRAIL}/releases/01J.json"),
    _row(_DR, "archive a timeline entry", "s3:PutObject", f"{TRAIL}/timeline/000001.json"),
    _row(APPROVER, "archive an approval", "s3:PutObject", f"{TRAIL}/approvals/01J/bob.json"),
    _row(NOBODY, "put anything else into the archive", "s3:PutObject", f"{TRAIL}/else.json"),
    _row(_DRG, "list the archive", "s3:ListBucketVersions", TRAIL),
    _row(_DRG, "read the archive", "s3:GetObjectVersion", f"{TRAIL}/approvals/01J/bob.json"),
    _row(NOBODY, "read the archive's settings", "s3:GetAccelerateConfiguration GetBucketAcl GetBucketCORS "
         "GetBucketLocation GetBucketLogging GetBucketObjectLockConfiguration GetBucketPolicy "
         "GetBucketPublicAccessBlock GetBucketRequestPayment GetBucketTagging GetBucketVersioning "
         "GetBucketWebsite GetEncryptionConfiguration GetLifecycleConfiguration GetReplicationConfiguration "
         "ListBucket ListTagsForResource", TRAIL),
    _never("delete from the archive, or shorten its retention", "s3:DeleteObject DeleteObjectVersion "
         "PutObjectRetention PutObjectLegalHold BypassGovernanceRetention PutObjectAcl", f"{TRAIL}/releases/01J.json"),
    _never("change the archive's bucket", "s3:DeleteBucket PutBucketVersioning PutBucketObjectLockConfiguration "
         "PutLifecycleConfiguration PutBucketPolicy DeleteBucketPolicy PutBucketAcl PutEncryptionConfiguration "
         "PutReplicationConfiguration PutBucketPublicAccessBlock", TRAIL),
    _row(_D, "list the state", "s3:ListBucket", STATE),
    _row(_D, "read and write the state", "s3:GetObject PutObject", f"{STATE}/.pulumi/stacks/rollback/dev.json"),
    _row(_D, "unlock the engine's state", "s3:DeleteObject", f"{STATE}/.pulumi/locks/organization/a.json"),
    _row(_D, "unlock Terraform's state", "s3:DeleteObject", f"{STATE}/access-management/terraform.tfstate.tflock"),
    _row(NOBODY, "delete a state", "s3:DeleteObject DeleteObjectVersion PutObjectAcl",
         f"{STATE}/access-management/terraform.tfstate"),
    _never("list the state of the foundation, or change its bucket", "s3:ListBucket ListBucketVersions DeleteBucket "
           "PutBucketVersioning PutBucketPolicy PutLifecycleConfiguration", FOUNDATION),
    _never("read or write the state of the foundation", "s3:GetObject GetObjectVersion PutObject DeleteObject "
           "DeleteObjectVersion", f"{FOUNDATION}/.pulumi/stacks/rollback/dev-foundation.json"),
    _never("lock or unlock the state of the foundation", "s3:PutObject DeleteObject",
           f"{FOUNDATION}/.pulumi/locks/organization/a.json"),
    _row(NOBODY, "change the state bucket", "s3:DeleteBucket PutBucketVersioning PutBucketPolicy "
         "PutLifecycleConfiguration", STATE),
    _row(_DS, "read and write a table's loss report", "s3:GetObject PutObject", f"{STATE}/rollback/01J/loss.jsonl"),
    _row(RESTORE, "abort the upload of a loss report", "s3:AbortMultipartUpload", f"{STATE}/rollback/01J/loss.jsonl"),
    _row(_D, "read, write and delete a saved Terraform plan",
         "s3:GetObject PutObject DeleteObjectVersion", f"{STATE}/rollback/01J/plan.tfplan"),
    _row(NOBODY, "delete a loss report", "s3:DeleteObject DeleteObjectVersion", f"{STATE}/rollback/01J/loss.jsonl"),
    _row(NOBODY, "create a bucket", "s3:CreateBucket", "arn:aws:s3:::bbws-access-anything"),
)

TABLE_DEEDS = (
    _row(f"{_DR} {RESTORE}", "read whether a table can be restored", "dynamodb:DescribeContinuousBackups", TABLE),
    _row(_DS, "read the settings of a table", "dynamodb:DescribeTable DescribeTimeToLive ListTagsOfResource", TABLE),
    _row(_D, "create and change the table with Terraform", "dynamodb:CreateTable TagResource UntagResource "
         "UpdateContinuousBackups UpdateTable", TABLE),
    _row(RESTORE, "restore a table, and copy its items back", "dynamodb:BatchGetItem CreateBackup DeleteItem "
         "GetItem GetResourcePolicy PutItem RestoreTableToPointInTime Scan", TABLE),
    _row(RESTORE, "read a backup", "dynamodb:DescribeBackup", BACKUP),
    _row(RESTORE, "create and change the restored copy", "dynamodb:DescribeContinuousBackups DescribeTable DescribeTimeToLive "
         "ListTagsOfResource BatchGetItem BatchWriteItem DeleteItem DeleteTable GetItem PutItem Query "
         "RestoreTableToPointInTime Scan TagResource UpdateContinuousBackups UpdateItem UpdateTable "
         "UpdateTimeToLive", COPY),
    _never("delete a table", "dynamodb:DeleteTable", TABLE),
    _row(NOBODY, "delete a backup", "dynamodb:DeleteBackup", BACKUP),
    _row(NOBODY, "read or change a table that is not configured", "dynamodb:GetItem PutItem DeleteTable UpdateTable Scan "
         "RestoreTableToPointInTime DescribeTable", OTHER_TABLE),
)

API_DEEDS = (
    _row(_DR, "list APIs", "apigateway:GET", APIS, shared=True),
    _row(_DR, "read an API", "apigateway:GET", f"{APIS}/a1b2c3d4e5", shared=True),
    _row(NOBODY, "read the keys of APIs", "apigateway:GET", "arn:aws:apigateway:{region}::/apikeys"),
    _row(_D, "tag an API", "apigateway:PUT DELETE", API_TAGS, shared=True),
    _row(_D, "create the API", "apigateway:POST", APIS, apigateway__Request_ApiName="{stem}-apigw"),
    _row(_D, "change the API", "apigateway:PATCH DELETE", f"{APIS}/a1b2c3d4e5",
         apigateway__Resource_ApiName="{stem}-apigw"),
    _row(NOBODY, "create another API", "apigateway:POST", APIS, apigateway__Request_ApiName="payments"),
    _row(NOBODY, "change another API", "apigateway:PATCH DELETE", f"{APIS}/a1b2c3d4e5",
         apigateway__Resource_ApiName="payments"),
    _row(NOBODY, "create an API without a name", "apigateway:POST", APIS),
)

IDENTITY_DEEDS = (
    *(_row(NOBODY, f"read the {tail}", "iam:GetRole GetRolePolicy ListAttachedRolePolicies ListRolePolicies",
           f"{ROLE}-{tail}")
      for tail in ("github-actions-role", "rollback-role", "approver-role", "restore-role", "break-glass-role")),
    _row(NOBODY, "read the drill-role", "iam:GetRole GetRolePolicy ListAttachedRolePolicies ListRolePolicies",
         f"{ROLE}-drill-role", drills=True),
    _row(NOBODY, "read the boundary and the roles' policies", "iam:GetPolicy GetPolicyVersion",
         "arn:aws:iam::{account}:policy/{stem}-boundary"),
    _row(NOBODY, "read GitHub's provider", "iam:GetOpenIDConnectProvider",
         "arn:aws:iam::{account}:oidc-provider/token.actions.githubusercontent.com", shared=True),
    _row(ROLLBACK, "assume the restore role", "sts:AssumeRole SetSourceIdentity", f"{ROLE}-restore-role"),
    *(_row(DRILL, f"take the {tail} for a drill", "sts:AssumeRole SetSourceIdentity", f"{ROLE}-{tail}")
      for tail in ("github-actions-role", "rollback-role")),
    *(_row(NOBODY, f"take the {tail} from another role", "sts:AssumeRole", f"{ROLE}-{tail}")
      for tail in ("approver-role", "break-glass-role", "drill-role")),
    _row(NOBODY, "take a role of another team", "sts:AssumeRole", "arn:aws:iam::{account}:role/administrator"),
    *(_never(f"change the {tail}", "iam:PutRolePolicy DeleteRolePolicy AttachRolePolicy DetachRolePolicy "
           "PutRolePermissionsBoundary DeleteRolePermissionsBoundary UpdateAssumeRolePolicy UpdateRole DeleteRole "
           "TagRole PassRole", f"{ROLE}-{tail}")
      for tail in ("github-actions-role", "rollback-role", "approver-role", "restore-role", "drill-role",
                   "break-glass-role")),
    _never("change the boundary", "iam:CreatePolicyVersion SetDefaultPolicyVersion DeletePolicyVersion "
         "DeletePolicy", "arn:aws:iam::{account}:policy/{stem}-boundary"),
    _never("change GitHub's identity provider", "iam:AddClientIDToOpenIDConnectProvider "
         "UpdateOpenIDConnectProviderThumbprint DeleteOpenIDConnectProvider",
         "arn:aws:iam::{account}:oidc-provider/token.actions.githubusercontent.com"),
    _never("create users or access keys", "iam:CreateUser CreateAccessKey AttachUserPolicy",
         "arn:aws:iam::{account}:user/mallory"),
)
KEY_DEEDS = (
    _row(_D, "read and write the stack's secrets", "kms:Decrypt Encrypt GenerateDataKey", STATE_KEY),
    _row(RESTORE, "use a table's key through DynamoDB", "kms:Decrypt DescribeKey Encrypt GenerateDataKey "
         "GenerateDataKeyWithoutPlaintext ReEncryptFrom ReEncryptTo", TABLE_KEY, kms__ViaService=DYNAMODB),
    _row(RESTORE, "grant DynamoDB a table's key, for the copy", "kms:CreateGrant", TABLE_KEY,
         kms__ViaService=DYNAMODB, kms__GrantIsForAWSResource="true"),
    _row(NOBODY, "use a table's key directly", "kms:Decrypt DescribeKey Encrypt GenerateDataKey CreateGrant",
         TABLE_KEY),
    _row(NOBODY, "use a table's key through another service", "kms:Decrypt Encrypt", TABLE_KEY,
         kms__ViaService="s3.{region}.amazonaws.com"),
    _row(NOBODY, "grant a table's key to others", "kms:CreateGrant", TABLE_KEY, kms__ViaService=DYNAMODB,
         kms__GrantIsForAWSResource="false"),
    _row(NOBODY, "grant the key of the stack's secrets", "kms:CreateGrant PutKeyPolicy", STATE_KEY),
    _row(NOBODY, "use another team's key", "kms:Decrypt Encrypt GenerateDataKey CreateGrant", OTHER_KEY,
         kms__ViaService=DYNAMODB),
    *(_row(NOBODY, f"delete or disable the key of {what}", "kms:ScheduleKeyDeletion DisableKey PutKeyPolicy RevokeGrant", key)
      for what, key in (("the stack's secrets", STATE_KEY), ("a table", TABLE_KEY))),
)
# fmt: on

DEEDS = (
    *LEDGER_DEEDS, *FUNCTION_DEEDS, *PARAMETER_DEEDS, *BUCKET_DEEDS, *TABLE_DEEDS, *API_DEEDS, *IDENTITY_DEEDS,
    *KEY_DEEDS,
)  # fmt: skip


def each() -> Iterator[tuple[Deed, str]]:
    """Every deed with each of its actions."""
    for deed in DEEDS:
        for action in deed.actions:
            yield deed, action
