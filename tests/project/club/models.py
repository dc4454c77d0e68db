"""A user model of the project's own: another table, a UUID for a key under another column, no user name, no `is_staff`."""

import uuid

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.db import models


class MemberManager(BaseUserManager):
    """Makes members."""

    def create_user(self, email, password=None, **options):
        """Make a member with a hashed password."""
        member = self.model(email=email, **options)
        member.set_password(password)
        member.save()
        return member


class Member(AbstractBaseUser, PermissionsMixin):
    """Who logs in, with an address."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False, db_column="uid")
    email = models.CharField(max_length=100, unique=True)
    is_active = models.BooleanField(default=True)

    objects = MemberManager()
    USERNAME_FIELD = "email"

    class Meta:
        db_table = "people"
