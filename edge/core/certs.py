"""Certificates: which key may do what, said by the community's stewards or by somebody they let say so. PROTOCOL 17.2.

    claims  {3: community, 4: expires_s, 6: issued_s, 8: {3: key}, 9: "role role ..."}     a CWT (RFC 8392), 17.1 signed

A certificate is good when it can be walked to the stewards: k of n have signed it, or one key has whose own certificate
has the role "certify" beside the roles it gives. Of one key's certificates the newest that the stewards signed is what
holds, and everything older is void: so a role is taken back by a newer certificate without it. Time is that of the
message which is judged, so every node comes to the same answer whatever its clock shows.
"""

from edge.core import cbor, cosign, limits
from edge.core.cbor import CodecError

ALERT = "alert"  # roles: issue official alerts
CERTIFY = "certify"  # give others the roles that stand beside it

_ROLE_CHARS = "abcdefghijklmnopqrstuvwxyz0123456789._*-"


class Certificate:
    """A certificate as it was signed. All attributes are read only; `data` is the whole COSE_Sign. rooted: signed by
    enough stewards. issuer: the one key that gave it where it isn't, or None."""

    def __init__(self, data):
        payload, self.signatures = cosign.split(data, cosign.CERTIFICATE)
        claims = cbor.decode(payload)
        if not isinstance(claims, dict):
            raise CodecError("cert.form")
        self.data = data
        self.payload = payload
        self.community = claims.get(3)
        self.expires_s = claims.get(4)
        self.issued_s = claims.get(6)
        confirmation = claims.get(8)
        scope = claims.get(9)
        if not isinstance(confirmation, dict) or not isinstance(scope, str) or not isinstance(self.community, str):
            raise CodecError("cert.form")
        self.key = confirmation.get(3)
        if not isinstance(self.key, bytes) or len(self.key) != 32:
            raise CodecError("cert.form")
        for value in (self.expires_s, self.issued_s):
            if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**32:
                raise CodecError("cert.form")
        if len(self.community.encode()) > limits.COMMUNITY_NAME_BYTES_MAX:
            raise CodecError("cert.form")
        self.roles = scope.split(" ") if scope else []
        if len(self.roles) > limits.CERT_ROLES_MAX or self.roles != sorted(set(self.roles)):
            raise CodecError("cert.form")
        for role in self.roles:
            if not 0 < len(role) <= limits.CERT_ROLE_CHARS_MAX or [one for one in role if one not in _ROLE_CHARS]:
                raise CodecError("cert.form")
        self.rank = (self.issued_s, payload)  # of two, everywhere the same one is the newer
        self.rooted = False
        self.issuer = None


def payload_of(community, key, roles, issued_s, expires_s):
    """The payload (bytes) that is signed for a certificate of `key` (32 bytes). ValueError for what it can't say."""
    claims = {3: community, 4: expires_s, 6: issued_s, 8: {3: key}, 9: " ".join(sorted(set(roles)))}
    payload = cbor.encode(claims)
    try:
        Certificate(cosign.pack(cosign.CERTIFICATE, payload, {bytes(cosign.KID_BYTES): bytes(64)}))
    except CodecError as error:
        raise ValueError("not a certificate: " + error.reason)
    return payload


class Book:
    """The certificates that a node holds. stewards: edge.core.stewards.Stewards."""

    def __init__(self, stewards):
        self._stewards = stewards
        self._good = []  # Certificates whose signatures are good, in order of arrival
        self._known = {}  # their payloads
        self._waiting = []  # [Certificate]: whoever gave it has no certificate here yet

    def __len__(self):
        return len(self._good)

    def add(self, data):
        """Take a certificate (bytes) in: True where something is new by it. Raises CodecError.

        One whose giver is not known yet waits, and counts when the giver's own certificate comes.
        """
        one = Certificate(data)
        self._stewards.check_name(one.community)
        if one.payload in self._known:
            return False
        if not self._check(one):
            if len(one.signatures) > 1 or self._stewards.named(one.signatures):
                raise CodecError("cert.signatures")
            if one.data in [other.data for other in self._waiting]:
                return False
            if len(self._waiting) >= limits.CERTS_WAITING_MAX:
                self._waiting.pop(0)
            self._waiting.append(one)
            return False
        self._keep(one)
        self._settle()
        return True

    def allows(self, key, role, at_s):
        """Whether `key` (32 bytes) had `role` for what it signed at `at_s` (Unix seconds)."""
        return self._walk(key, (role,), at_s, limits.CERT_CHAIN_MAX)

    def rows(self):
        """The certificates that are good, in order of arrival."""
        return list(self._good)

    def in_force(self, one):
        """Whether no newer certificate has taken the place of this one."""
        for other in self._good:
            if other.key == one.key and other.rank > one.rank and (other.rooted or other.issuer == one.issuer):
                return False
        return True

    def _walk(self, key, roles, at_s, length):
        if length == 0:
            return False
        for one in self._good:
            if one.key != key or at_s >= one.expires_s or not self.in_force(one):
                continue
            if [role for role in roles if role not in one.roles]:
                continue
            if one.rooted:
                return True
            needed = [role for role in roles if role != CERTIFY] + [CERTIFY]
            if self._walk(one.issuer, needed, at_s, length - 1):
                return True
        return False

    def _check(self, one):
        """Whether the signatures are good; notes whose they are."""
        if self._stewards.signed(cosign.CERTIFICATE, one.payload, one.signatures):
            one.rooted = True
            return True
        if len(one.signatures) > 1:
            return False
        givers = []
        for other in self._good:
            if CERTIFY in other.roles and other.key not in givers:
                givers.append(other.key)
        found = cosign.signers(cosign.CERTIFICATE, one.payload, one.signatures, givers, self._stewards.verify)
        if not found:
            return False
        one.issuer = found[0]
        return True

    def _keep(self, one):
        if len(self._good) >= limits.CERTS_MAX:
            self._forget()
        self._good.append(one)
        self._known[one.payload] = True

    def _forget(self):
        """Give up what is replaced, else what was given by others than the stewards, else the oldest."""
        worst = None
        for one in self._good:
            rank = (self.in_force(one), one.rooted, one.rank)
            if worst is None or rank < worst[0]:
                worst = (rank, one)
        self._good.remove(worst[1])
        del self._known[worst[1].payload]

    def _settle(self):
        """Look again at what waits, as long as something comes of it."""
        again = True
        while again:
            again = False
            for one in self._waiting[:]:
                if self._check(one):
                    self._waiting.remove(one)
                    self._keep(one)
                    again = True
