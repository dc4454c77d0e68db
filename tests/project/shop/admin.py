"""Every model that the admin can show; it cannot show composite primary keys."""

from django.contrib import admin

from shop import models

admin.site.register([models.Customer, models.Tag, models.Order, models.OrderLine, models.Ticket, models.Country])
