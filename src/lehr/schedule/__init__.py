"""Schedules: frozen values that are functions of the training step."""

from lehr.schedule.base import Schedule as Schedule
from lehr.schedule.chain import Chain as Chain
from lehr.schedule.clock import Every as Every
from lehr.schedule.clock import Reverse as Reverse
from lehr.schedule.clock import Shift as Shift
from lehr.schedule.clock import Take as Take
from lehr.schedule.codec import loads as loads
from lehr.schedule.combine import Max as Max
from lehr.schedule.combine import Min as Min
from lehr.schedule.combine import Power as Power
from lehr.schedule.combine import Product as Product
from lehr.schedule.combine import Quotient as Quotient
from lehr.schedule.combine import Sum as Sum
from lehr.schedule.curves import curve as curve
from lehr.schedule.decays import Exponential as Exponential
from lehr.schedule.decays import InverseTime as InverseTime
from lehr.schedule.decays import RAdam as RAdam
from lehr.schedule.piecewise import Function as Function
from lehr.schedule.piecewise import Piecewise as Piecewise
from lehr.schedule.piecewise import Table as Table
from lehr.schedule.repeat import Repeat as Repeat
from lehr.schedule.shapes import Constant as Constant
from lehr.schedule.shapes import Geometric as Geometric
from lehr.schedule.shapes import Ramp as Ramp
from lehr.schedule.shapes import Window as Window
