"""A small shop, and one model for each shape of table that Django can make."""

import uuid

from django.contrib.auth.models import User
from django.contrib.postgres.fields import ArrayField
from django.db import models


class Customer(models.Model):
    """Somebody who buys; `user` when they log in."""

    name = models.CharField(max_length=100)
    email = models.EmailField(blank=True)
    user = models.ForeignKey(User, null=True, blank=True, on_delete=models.SET_NULL)

    def __str__(self):
        return self.name


class Tag(models.Model):
    """A label on orders."""

    name = models.CharField(max_length=50, unique=True)

    def __str__(self):
        return self.name


class Order(models.Model):
    """What the examples watch."""

    number = models.CharField(max_length=20)
    status = models.CharField(max_length=20, default="draft")
    total = models.DecimalField(max_digits=12, decimal_places=2, default=0)
    customer = models.ForeignKey(Customer, null=True, blank=True, on_delete=models.CASCADE)
    notes = models.TextField(blank=True)
    tags = models.ManyToManyField(Tag, blank=True)

    def __str__(self):
        return self.number


class OrderLine(models.Model):
    """Deleted with its order."""

    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="lines")
    product = models.CharField(max_length=100)
    quantity = models.PositiveIntegerField(default=1)


class Ticket(models.Model):
    """A UUID for a primary key."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    title = models.CharField(max_length=100)


class Country(models.Model):
    """A text for a primary key."""

    code = models.CharField(primary_key=True, max_length=10)
    name = models.CharField(max_length=100)


class Stock(models.Model):
    """A composite primary key."""

    pk = models.CompositePrimaryKey("warehouse", "product")
    warehouse = models.IntegerField()
    product = models.CharField(max_length=50)
    amount = models.IntegerField(default=0)


class Place(models.Model):
    """The parent of a multi-table inheritance."""

    name = models.CharField(max_length=100)


class Restaurant(Place):
    """The child: a table of its own, whose primary key is a foreign key to the parent."""

    stars = models.PositiveSmallIntegerField(default=0)


class Legacy(models.Model):
    """A table and columns whose names need quotes."""

    key = models.AutoField(primary_key=True, db_column="ID")
    label = models.CharField(max_length=100, db_column="The Label's")
    owner = models.ForeignKey(Customer, null=True, on_delete=models.SET_NULL, db_column="OwnerRef")

    class Meta:
        db_table = "Legacy Ord'ers.V2"


class Everything(models.Model):
    """A column of each common type, and each of them null."""

    big = models.BigIntegerField(null=True)
    boolean = models.BooleanField(null=True)
    char = models.CharField(max_length=200, null=True)
    text = models.TextField(null=True)
    date = models.DateField(null=True)
    datetime = models.DateTimeField(null=True)
    decimal = models.DecimalField(max_digits=30, decimal_places=10, null=True)
    duration = models.DurationField(null=True)
    float = models.FloatField(null=True)
    integer = models.IntegerField(null=True)
    json = models.JSONField(null=True)
    uuid = models.UUIDField(null=True)
    ip = models.GenericIPAddressField(null=True)
    binary = models.BinaryField(null=True)
    time = models.TimeField(null=True)
    integers = ArrayField(models.IntegerField(), null=True)
    decimals = ArrayField(models.DecimalField(max_digits=12, decimal_places=2), null=True)
    texts = ArrayField(models.TextField(), null=True)
    slug = models.SlugField(null=True)
    email = models.EmailField(null=True)
    positive = models.PositiveIntegerField(null=True)
    small = models.SmallIntegerField(null=True)
    file = models.FileField(upload_to="files", null=True)
    url = models.URLField(null=True)
    one = models.OneToOneField(Customer, null=True, on_delete=models.SET_NULL)
